"""Runs inside the sandbox and looks for what it should not be able to do. Prints one JSON line: {} or the part that fails."""

import json
import os
import socket
import sys

given = json.load(sys.stdin)


def fail(part, what):
    print(json.dumps({"part": part, "what": what}))
    sys.exit(0)


def refused(action, *args):
    try:
        action(*args)
    except OSError:
        return True
    return False


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect(address)


status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
if (os.getuid(), os.getgid()) != (1000, 1000):
    fail("user", "a build is user %d, not 1000" % os.getuid())
if int(status["CapEff"], 16) or int(status["CapBnd"], 16) or status["NoNewPrivs"] != "1":
    fail("user", "a build has capabilities, or can gain some")

try:
    import ctypes
except ImportError:
    pass  # bwrap has tried it too, before it started us
else:
    if ctypes.CDLL(None).unshare(0x10000000) == 0:
        fail("user namespaces", "a build can make its own")

routes = open("/proc/net/route").readlines()[1:]  # devices other than lo may be there, but lead nowhere
if routes:
    fail("network", "a build has a route: " + routes[0].strip())
if not refused(connect, socket.AF_INET, ("127.0.0.1", given["port"])) or not refused(connect, socket.AF_UNIX, given["socket"]):
    fail("network", "a build reaches a server on this machine")

pids = [name for name in os.listdir("/proc") if name.isdigit()]
if len(pids) > 2:
    fail("processes", "a build sees %d processes" % len(pids))

for folder in ["/", "/dev", "/etc", "/usr"]:
    if not refused(open, os.path.join(folder, "axle-selftest"), "w"):
        fail("files", "a build can write to " + folder)
for path in ["/etc/shadow", given["hidden"]]:
    if not refused(os.stat, path):
        fail("files", "a build sees " + path)
for folder in ["/build", "/tmp", "/dev/shm"]:
    try:
        with open(os.path.join(folder, "axle-selftest"), "w") as f:
            f.write("x")
    except OSError as e:
        fail("files", "a build can't write to %s (%s)" % (folder, e))

if sys.version != given["version"]:
    fail("interpreter", "it is Python %r inside but %r outside" % (sys.version, given["version"]))
print("{}")
