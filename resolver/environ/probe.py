import json, os, platform, sys, sysconfig

real = os.path.realpath
libc = ""
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (AttributeError, ValueError, OSError):
    pass
name = sysconfig.get_platform()
if sys.maxsize <= 2**32:  # a 32-bit Python on a 64-bit kernel
    name = {"linux-x86_64": "linux-i686", "linux-aarch64": "linux-armv7l"}.get(name, name)
version = platform.python_version().rstrip("+")
info = sys.implementation.version
implementation_version = "%d.%d.%d" % info[:3]
if info.releaselevel != "final":
    implementation_version += info.releaselevel[0] + str(info.serial)
print(json.dumps({
    "Executable": real(getattr(sys, "_base_executable", None) or sys.executable),
    "Prefix": real(sys.base_prefix),
    "Exec": real(sys.base_exec_prefix),
    "Implementation": sys.implementation.name,
    "Version": version,
    "Flags": sys.abiflags,
    "SOABI": sysconfig.get_config_var("SOABI") or "",
    "Platform": name,
    "Libc": libc,
    "Libdir": sysconfig.get_config_var("LIBDIR") or "",
    "Stdlib": sorted({real(sysconfig.get_path("stdlib")), real(sysconfig.get_path("platstdlib"))}),
    "Markers": {
        "implementation_name": sys.implementation.name,
        "implementation_version": implementation_version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": "",
        "platform_system": platform.system(),
        "platform_version": "",
        "python_full_version": version,
        "python_version": "%d.%d" % sys.version_info[:2],
        "sys_platform": sys.platform,
    },
}))
