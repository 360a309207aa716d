#!/usr/bin/env python3
"""lying_rpc.py: a JSON-RPC proxy that flips one bit of every light block that passes through it, or shows a forged one.

    lying_rpc.py UPSTREAM [BYTE]               BYTE: which byte, counted from the end when negative (-40)
    lying_rpc.py UPSTREAM show HEIGHT FILE     FILE: what to answer for that height, hexadecimal

Prints the URL that it listens on. Everything else it passes on unchanged.
"""
import http.server
import json
import sys
import urllib.request

UPSTREAM = sys.argv[1]
SHOWS = len(sys.argv) > 2 and sys.argv[2] == "show"
BYTE = int(sys.argv[2]) if len(sys.argv) > 2 and not SHOWS else -40


def lie(request, reply):
    if SHOWS:
        if int(request["params"][0], 16) == int(sys.argv[3]):
            with open(sys.argv[4]) as forged:
                reply["result"] = forged.read().strip()
        return
    block = bytearray.fromhex(reply["result"][2:])
    block[BYTE] ^= 1
    reply["result"] = "0x" + block.hex()


class Proxy(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = urllib.request.Request(UPSTREAM, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            reply = json.load(answer)
        request = json.loads(body)
        if request["method"] == "samebit_getLightBlock" and reply.get("result"):
            lie(request, reply)
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
print("http://127.0.0.1:%d" % server.server_address[1], flush=True)
server.serve_forever()
