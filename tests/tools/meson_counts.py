"""Count the cases of a meson test run: TAP lines where a test speaks TAP, one case a test elsewhere.

    meson_counts.py BUILD_DIR        prints each failing case with the command that repeats it, then the closing line

Reads BUILD_DIR/meson-logs/testlog.json, one JSON object a test. Exit status 1 if any case failed or none ran.
"""
import json
import re
import sys


def main() -> int:
    build = sys.argv[1]
    passed = failed = skipped = 0
    with open(f"{build}/meson-logs/testlog.json", encoding="utf-8", errors="replace") as log:
        for line in log:
            test = json.loads(line)
            name, out = test["name"], test.get("stdout", "")
            cases = re.findall(r"^(not ok|ok)\b([^\n]*)", out, re.M)
            repeat = " ".join(test.get("command", [name]))
            bad = skips = 0
            for verdict, text in cases:
                if "# SKIP" in text.upper():
                    skips += 1
                    print(f"skip {name}:{text}")
                elif verdict == "ok":
                    passed += 1
                else:
                    bad += 1
                    print(f"FAIL {name}:{text}")
            skipped += skips
            if not cases:
                if test["result"] == "OK":
                    passed += 1
                elif test["result"] == "SKIP":
                    skipped += 1
                    print(f"skip {name}")
            # cmocka writes "not ok ... # SKIP"; meson takes that for a failure although the program says 0
            only_skips = skips > 0 and test.get("returncode") == 0
            if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and bad == 0 and not only_skips:
                bad = 1
                print(f"FAIL {name}: {test['result']} (status {test.get('returncode')})")
            if bad:
                failed += bad
                for text in (out, test.get("stderr", "")):
                    for row in text.splitlines()[-25:]:
                        print(f"    | {row}")
                print(f"    repeat: {repeat}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
