#!/usr/bin/env python3
"""lying_rpc.py: a JSON-RPC proxy that flips one bit of every light block that passes through it.

    lying_rpc.py UPSTREAM [BYTE]     BYTE: which byte, counted from the end when negative (-40)

Prints the URL that it listens on. Everything else it passes on unchanged.
"""
import http.server
import json
import sys
import urllib.request

UPSTREAM = sys.argv[1]
BYTE = int(sys.argv[2]) if len(sys.argv) > 2 else -40


class Proxy(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = urllib.request.Request(UPSTREAM, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            reply = json.load(answer)
        if json.loads(body)["method"] == "samebit_getLightBlock" and reply.get("result"):
            block = bytearray.fromhex(reply["result"][2:])
            block[BYTE] ^= 1
            reply["result"] = "0x" + block.hex()
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
