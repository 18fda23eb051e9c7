"""Runs inside the sandbox: makes the build environment, calls the backend's hooks, and writes what came of it to
/build/result.json. The job is a JSON object on stdin; see the Go type "job". What the backend prints goes to the log. The exit code
is 0 if the backend gave an answer, FAILED if the result says how a step failed, and another if that isn't the project's doing.

Every hook runs in a process of its own. The backend can write the result too: the reader believes nothing in it.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.append("/axle/lib")
import pyproject_hooks  # noqa: E402

VENV = "/build/venv"
SITE = VENV + "/lib/python%d.%d/site-packages" % sys.version_info[:2]
CACHE = VENV + "/.uv-cache"  # beside what is installed, so that files are linked, not copied
FAILED = 3  # Python itself ends with 1, 2 and 120

# What this process may meet whatever the project does.
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO}


class Failed(Exception):
    """One step (first argument) failed, how (second); the log says why."""


def ended(step, what, code):
    if code == -signal.SIGKILL:  # not its own doing, as a rule: memory ran out
        sys.exit(128 + signal.SIGKILL)
    raise Failed(step, "%s ended with %d" % (what, code))


def fresh(path):
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    else:
        shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def uv(*arguments):
    command = ["/axle/uv", *arguments, "--quiet", "--no-config", "--offline", "--python", VENV + "/bin/python"]
    env = dict(os.environ, UV_CACHE_DIR=CACHE, UV_PYTHON_DOWNLOADS="never", UV_LINK_MODE="hardlink", UV_NO_PROGRESS="1")
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, check=True)


def environment(python):
    """An empty virtual environment (PEP 405). It is made by hand since the tools take 0.1 s for it; no activation script is of use here."""
    version = "python%d.%d" % sys.version_info[:2]
    os.makedirs(SITE)
    os.symlink("lib", VENV + "/lib64")
    os.mkdir(VENV + "/bin")
    os.symlink(python, VENV + "/bin/python")
    os.symlink("python", VENV + "/bin/python3")
    os.symlink("python", VENV + "/bin/" + version)
    with open(VENV + "/pyvenv.cfg", "w") as f:
        f.write("home = %s\ninclude-system-site-packages = false\nversion = %d.%d.%d\n" % ((os.path.dirname(python),) + sys.version_info[:3]))


def probe():
    """What uv finds out about the interpreter, for all builds to come."""
    uv("pip", "list")
    os.mkdir("/build/out")
    for name in os.listdir(CACHE):
        if name.startswith("interpreter-"):
            os.rename(CACHE + "/" + name, "/build/out/" + name)


def install(wheels, probed, bytecode):
    if probed:
        shutil.copytree(probed, fresh(CACHE), dirs_exist_ok=True)
    try:
        uv("pip", "install", "--no-index", "--no-deps", "--no-build", *wheels)
    except subprocess.CalledProcessError as e:
        ended("install", "uv", e.returncode)
    shutil.rmtree(CACHE, ignore_errors=True)
    for compiled in bytecode:
        with open(compiled + "/folders") as f:
            for folder in f.read().split("\n")[:-1]:
                try:
                    os.symlink(compiled + "/" + folder, SITE + "/" + folder)
                except (FileExistsError, FileNotFoundError, NotADirectoryError):
                    pass  # two wheels share a folder: the first one's modules are compiled


# PEP 517 puts backend-path on sys.path. The caller only finds the backend's module there, and setuptools before 66, which looks for its own
# entry points along sys.path, then can't build itself.
ON_PATH = "import runpy, sys; n = int(sys.argv[1]); sys.path[:1] = sys.argv[2:n]; del sys.argv[:n]; runpy.run_path(sys.argv[0], run_name='__main__')"


def runner(backend_path):
    def run(command, cwd=None, extra_environ=None):
        if backend_path:
            python, script, *arguments = command
            folders = [os.path.normpath(os.path.join(cwd, folder)) for folder in backend_path] + [os.path.dirname(script)]
            command = [python, "-c", ON_PATH, str(2 + len(folders)), *folders, script, *arguments]
        subprocess.run(command, cwd=cwd, env=dict(os.environ, **(extra_environ or {})), stdin=subprocess.DEVNULL, check=True)

    return run


def call(job):
    caller = pyproject_hooks.BuildBackendHookCaller(
        job["source"], job["backend"], job["backend_path"] or None, runner=runner(job["backend_path"]), python_executable=VENV + "/bin/python"
    )
    settings = job["config_settings"] or None  # as pip has it where nothing is set

    def hook(name, *args, **kwargs):
        try:
            return getattr(caller, name)(*args, **kwargs)
        except pyproject_hooks.HookMissing:
            return None
        except subprocess.CalledProcessError as e:
            ended(name, "the hook", e.returncode)
        except Exception as e:  # the backend can't be imported, is no backend, or says that it can't
            if isinstance(e, MemoryError) or getattr(e, "errno", None) in MACHINE:
                raise
            text = getattr(e, "traceback", "") or "%s: %s" % (type(e).__name__, e)
            print(text, file=sys.stderr, flush=True)
            raise Failed(name, type(e).__name__)

    if not job["have_requires"]:
        requires = hook("get_requires_for_build_wheel", settings)
        if requires:
            return {"requires": requires}
    if job["do"] == "prepare":
        name = hook("prepare_metadata_for_build_wheel", fresh("/build/meta"), settings, _allow_fallback=False)
        return {"no_prepare": True} if name is None else {"metadata": below("/build/meta", name)}
    return {"wheel": below("/build/out", hook("build_wheel", fresh("/build/out"), settings))}


def below(folder, path):
    """The name that a hook returned; some backends return the whole path, which pip takes too."""
    if isinstance(path, str) and os.path.dirname(path) == folder:
        return os.path.basename(path)
    return path


def main():
    job = json.load(sys.stdin)
    os.makedirs("/build/home", exist_ok=True)
    environment(job["python"])
    if job["do"] == "probe":
        return probe()
    code = 0
    try:
        if job["wheels"]:
            install(job["wheels"], job["probed"], job["bytecode"])
        result = call(job)
    except Failed as e:
        code, result = FAILED, {"hook": e.args[0], "error": e.args[1]}
        for folder in "/tmp", "/dev/shm", VENV:  # gone with the sandbox; and who writes to mapped memory there says nothing, but gets SIGBUS
            fs = os.statvfs(folder)
            if fs.f_bavail * fs.f_frsize < 1 << 20:
                print("axle: %s: %s" % (folder, os.strerror(errno.ENOSPC)), file=sys.stderr, flush=True)
    with open("/build/result.json.new", "w") as f:
        json.dump(result, f)
    os.rename("/build/result.json.new", "/build/result.json")
    return code


sys.exit(main())
