"""Packages from npm for tests: those of a folder's lock file, fetched once into a folder of build/."""
import fcntl
import filecmp
import os
import shutil
import subprocess


def fetched(source, target):
    """Returns `target`, with node_modules as `source`/package-lock.json says. Scripts of packages are not run."""
    os.makedirs(target, exist_ok=True)
    with open(target + "/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done, wanted = target + "/.fetched", source + "/package-lock.json"
        if not (os.path.exists(done) and filecmp.cmp(done, wanted, shallow=False)):
            for name in ("package.json", "package-lock.json"):
                shutil.copy("%s/%s" % (source, name), target)
            fetch = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            if subprocess.run(fetch, cwd=target, timeout=300).returncode:  # once more: registries have their moments
                subprocess.run(fetch, cwd=target, check=True, timeout=200)
            shutil.copy(wanted, done)
    return target
