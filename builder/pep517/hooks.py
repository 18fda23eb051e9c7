"""Runs inside the sandbox: makes the build environment, calls the backend's hooks, and writes what came of it to
/build/result.json. The job is a JSON object on stdin; see the Go type "job". What the backend prints goes to the log.

Every hook runs in a process of its own. The backend can write the result too: the reader believes nothing in it.
"""

import json
import os
import shutil
import subprocess
import sys

sys.path.append("/axle/lib")
import pyproject_hooks  # noqa: E402

VENV = "/build/venv"
CACHE = "/build/uv-cache"


class Failed(Exception):
    """One step failed; the log says why."""


def fresh(path):
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    else:
        shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def environment(python, uv, wheels):
    """A virtual environment (PEP 405) with just these wheels. It is made by hand since the tools take 0.1 s for it; no activation
    script is of use here."""
    fresh(VENV)
    version = "python%d.%d" % sys.version_info[:2]
    os.makedirs(VENV + "/lib/" + version + "/site-packages")
    os.symlink("lib", VENV + "/lib64")
    os.mkdir(VENV + "/bin")
    os.symlink(python, VENV + "/bin/python")
    os.symlink("python", VENV + "/bin/python3")
    os.symlink("python", VENV + "/bin/" + version)
    with open(VENV + "/pyvenv.cfg", "w") as f:
        f.write("home = %s\ninclude-system-site-packages = false\nversion = %d.%d.%d\n" % ((os.path.dirname(python),) + sys.version_info[:3]))
    if not wheels:
        return
    # The cache lies beside the environment, so that files are linked, not copied; on /tmp a large wheel would take memory.
    command = [uv, "pip", "install", "--quiet", "--no-config", "--offline", "--no-index", "--no-deps", "--no-build"]
    env = dict(os.environ, UV_CACHE_DIR=CACHE, UV_PYTHON_DOWNLOADS="never", UV_LINK_MODE="hardlink", UV_NO_PROGRESS="1")
    try:
        subprocess.run(command + ["--python", VENV + "/bin/python"] + wheels, env=env, stdin=subprocess.DEVNULL, check=True)
    except subprocess.CalledProcessError as e:
        raise Failed("uv ended with %d" % e.returncode)
    shutil.rmtree(CACHE, ignore_errors=True)


def run(command, cwd=None, extra_environ=None):
    subprocess.run(command, cwd=cwd, env=dict(os.environ, **(extra_environ or {})), stdin=subprocess.DEVNULL, check=True)


def call(job):
    caller = pyproject_hooks.BuildBackendHookCaller(
        job["source"], job["backend"], job["backend_path"] or None, runner=run, python_executable=VENV + "/bin/python"
    )
    settings = job["config_settings"]

    def hook(name, *args, **kwargs):
        try:
            return getattr(caller, name)(*args, **kwargs)
        except pyproject_hooks.HookMissing:
            return None
        except subprocess.CalledProcessError as e:
            if e.returncode == -9:  # not the backend's own doing, as a rule: memory ran out
                sys.exit(128 + 9)
            raise Failed(name, "the hook ended with %d" % e.returncode)
        except Exception as e:  # the backend can't be imported, is no backend, or says that it can't
            text = getattr(e, "traceback", "") or "%s: %s" % (type(e).__name__, e)
            print(text, file=sys.stderr, flush=True)
            raise Failed(name, type(e).__name__)

    if not job["have_requires"]:
        requires = hook("get_requires_for_build_wheel", settings)
        if requires:
            return {"requires": requires}
    if job["do"] == "prepare":
        name = hook("prepare_metadata_for_build_wheel", fresh("/build/meta"), settings, _allow_fallback=False)
        return {"no_prepare": True} if name is None else {"metadata": name}
    return {"wheel": hook("build_wheel", fresh("/build/out"), settings)}


def main():
    job = json.load(sys.stdin)
    os.makedirs("/build/home", exist_ok=True)
    step = "install"
    try:
        environment(job["python"], "/axle/uv", job["wheels"])
        result = call(job)
    except Failed as e:
        step, text = e.args if len(e.args) == 2 else (step, e.args[0])
        result = {"hook": step, "error": text}
    with open("/build/result.json.new", "w") as f:
        json.dump(result, f)
    os.rename("/build/result.json.new", "/build/result.json")


main()
