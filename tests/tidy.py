"""The rules of the house, as a test (docs/ARCHITECTURE.md).

Each rule is one case: it passes, or lists what breaks it. Run from anywhere: python3 tests/tidy.py
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = sorted(
    p for top in ("base", "vm", "consensus", "storage", "rpc", "node") for p in (ROOT / top).rglob("*.[ch]")
)
TESTS = sorted((ROOT / "tests").rglob("*.[ch]"))
LAYERS = ("base", "vm", "consensus", "storage", "rpc", "node")
BASE_ORDER = ("util", "num", "codec", "crypto", "types")
# Leaves that lower folders may include: the plain value type that crypto speaks too, and the two hashes that codec takes (ABI
# selectors, content identifiers). They include nothing above util.
BASE_LEAVES = {"base/types/hash.h", "base/crypto/keccak.h", "base/crypto/sha256_portable.h"}
PURE = ("base/", "vm/", "consensus/")


def rel(path):
    return path.relative_to(ROOT).as_posix()


def text_of(path):
    return path.read_text(encoding="utf-8")


def code_of(path):
    """Source without comments and string contents, line numbers kept."""
    text = text_of(path)
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    blank = lambda m: '""' if m.group(0)[0] == '"' else "'0'" if m.group(0)[0] == "'" else re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(pattern, blank, text, flags=re.S)


def find(pattern, paths):
    for path in paths:
        for number, line in enumerate(code_of(path).splitlines(), 1):
            match = re.search(pattern, line)
            if match:
                yield f"{rel(path)}:{number}: {match.group(0).strip()}"


def rule_includes_point_downward():
    """base <- {vm, consensus, storage, rpc} <- node; siblings never include one another; base: util <- num <- codec <- crypto <- types"""
    for path in SOURCES:
        own = rel(path).split("/")
        for number, line in enumerate(text_of(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            target = match.group(1).split("/")
            where = f"{rel(path)}:{number}: includes {match.group(1)}"
            if target[0] not in LAYERS:
                if not target[0].endswith((".h", ".def")) and not match.group(1).endswith(".pb-c.h"):
                    yield where + " (write includes from the root)"
            elif own[0] == "base":
                if target[0] != "base":
                    yield where
                elif match.group(1) not in BASE_LEAVES and BASE_ORDER.index(target[1]) > BASE_ORDER.index(own[1]):
                    yield where
            elif own[0] != "node" and target[0] not in ("base", own[0]):
                yield where


def rule_only_the_compiler_uses_floats():
    """no float or double outside vm/compiler and node/ (which reports to people); benches and tests are free"""
    strict = [p for p in SOURCES if rel(p).startswith(PURE + ("storage/", "rpc/")) and not rel(p).startswith("vm/compiler/")]
    yield from find(r"\b(float|double)\b|\b\d+\.\d+f?\b", strict)


def rule_pure_layers_do_no_io_and_read_no_clock():
    """base, vm and consensus: no files, sockets, clocks, environment or random numbers"""
    pure = [p for p in SOURCES if rel(p).startswith(PURE)]
    calls = r"\b(open|fopen|socket|connect|clock_gettime|gettimeofday|time|clock|getenv|rand|random|srand|getrandom|localtime|gmtime)\s*\("
    for hit in find(r"(?<![\w.>])" + calls, pure):
        yield hit
    yield from find(r"\bprintf\s*\(", pure)


def rule_only_node_reads_clocks():
    """clock_gettime and its relatives stand in node/ alone (rpc gets its times from libuv)"""
    yield from find(r"\b(clock_gettime|gettimeofday|time)\s*\(", [p for p in SOURCES if not rel(p).startswith("node/")])


def rule_no_banned_calls():
    """calls that cannot be used safely"""
    yield from find(r"\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|alloca|tmpnam|mktemp|system)\s*\(", SOURCES + TESTS)


def rule_files_open_with_a_comment():
    """every source says first what it is"""
    for path in SOURCES + TESTS:
        if not text_of(path).lstrip().startswith("/*"):
            yield rel(path)
    for path in sorted(ROOT.glob("meson.build")) + [p for top in LAYERS + ("tests",) for p in sorted((ROOT / top).rglob("meson.build"))]:
        if not text_of(path).startswith("#"):
            yield rel(path)


def rule_headers_are_guarded_by_their_path():
    """#ifndef SB_<PATH>_H"""
    for path in SOURCES:
        if path.suffix == ".h":
            guard = "SB_" + re.sub(r"[^A-Za-z0-9]", "_", rel(path)).upper()
            if f"#ifndef {guard}\n#define {guard}\n" not in text_of(path):
                yield f"{rel(path)}: guard should be {guard}"


def rule_no_leftovers():
    """no marks of unfinished work"""
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    for path in SOURCES + TESTS + sorted((ROOT / "contracts").rglob("*.sol")):
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if words.search(line):
                yield f"{rel(path)}:{number}: {line.strip()}"


def rule_documents_name_paths_that_exist():
    """paths in back quotes in README.md and docs/ exist"""
    tops = LAYERS + ("tests", "scripts", "docs", "contracts", "examples")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        if not path.exists():
            yield f"{rel(path)} is missing"
            continue
        for name in re.findall(r"`((?:%s)/[\w./{},-]*)`" % "|".join(tops), text_of(path)):
            brace = re.match(r"(.*)\{([^}]*)\}(.*)", name)
            names = [brace.group(1) + part + brace.group(3) for part in brace.group(2).split(",")] if brace else [name]
            for one in names:
                if not (ROOT / one).exists() and not any(ROOT.glob(one + ".*")):
                    yield f"{rel(path)}: `{one}` does not exist"


def rule_tracked_files_speak_of_the_project_alone():
    """no paths of a machine in what is committed"""
    listing = subprocess.run(["git", "-C", str(ROOT), "grep", "-nIE", r"(^|[^a-zA-Z0-9_.])/(work|root|home)/"],
                             capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        if "tests/tidy.py" not in line:
            yield line[:160]


def rule_core_compiles_without_floating_point_registers():
    """base, vm (not the compiler) and consensus compile with -mgeneral-regs-only: no float can hide in them"""
    if os.uname().machine != "x86_64":
        return
    own_code = [p for p in SOURCES if p.suffix == ".c" and rel(p).startswith(PURE)
                and not rel(p).startswith(("vm/compiler/", "vm/tensor/kernels/x86/"))]
    for path in own_code:
        run = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-mgeneral-regs-only", "-I", str(ROOT), "-c", "-o",
                              "/dev/null", str(path)], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            yield f"{rel(path)}: " + (run.stderr.strip().splitlines() or ["failed"])[-1]


def rule_sources_are_formatted():
    """scripts/format changes nothing"""
    try:
        version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        version = ""
    if "version 14." not in version:
        raise Skip("there is no clang-format 14 on this machine (scripts/format installs it)")
    run = subprocess.run(["clang-format", "--dry-run", "--Werror", *(rel(p) for p in SOURCES + TESTS)],
                         cwd=ROOT, capture_output=True, text=True, check=False)
    yield from (line for line in run.stderr.splitlines() if ": error:" in line)


class Skip(Exception):
    """A rule cannot be looked into on this machine."""


def main() -> int:
    rules = [(name, value) for name, value in globals().items() if name.startswith("rule_")]
    passed = failed = skipped = 0
    for name, rule in rules:
        try:
            broken = list(rule())
        except Skip as why:
            skipped += 1
            print(f"skip {name[5:]}: {why}")
            continue
        if broken:
            failed += 1
            print(f"FAIL {name[5:]}: {rule.__doc__}")
            for line in broken[:40]:
                print(f"    {line}")
        else:
            passed += 1
            print(f"ok   {name[5:]}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
