"""A clean Debian of the test's own: debootstrap's, kept as a file in /var/cache/kvpipe-root, and booted by systemd-nspawn.

Raises Unable, with the reason, where none can be made or booted. The machine has no network: what it installs is fetched before.
"""
import ctypes
import fcntl
import os
import shutil
import subprocess

import kv

CACHE = "/var/cache/kvpipe-root"
APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "--no-install-recommends", "install"]

LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"  # systemd-nspawn knows nothing of it, a machine does


class Unable(Exception):
    pass


def need(*tools):
    if os.geteuid() != 0:
        raise Unable("not root")
    for tool in tools:
        if not shutil.which(tool):
            raise Unable("no %s (deploy/install-deps.sh)" % tool)


def run(*command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stdout[-3000:]))
    return done.stdout


def base():
    """Path of a tar file with a pristine bookworm, minbase."""
    need("debootstrap")
    os.makedirs(CACHE, exist_ok=True)
    path = CACHE + "/bookworm.tar"
    with open(CACHE + "/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            root = CACHE + "/making"
            shutil.rmtree(root, ignore_errors=True)
            run("debootstrap", "--variant=minbase", "bookworm", root, os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian"))
            run("tar", "-C", root, "-cf", path + ".new", ".")
            os.replace(path + ".new", path)
            shutil.rmtree(root)
    return path


def own_mounts():
    """From now on this process mounts for itself and its children alone, however it ends."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x20000):  # CLONE_NEWNS
        raise Unable("no mount namespace: %s" % os.strerror(ctypes.get_errno()))
    run("mount", "--make-rprivate", "/")


class Machine:
    """One at a time; others wait for it."""

    def __init__(self, *packages):
        """A clean root with systemd. `packages` are .deb files to come: all that they depend on is fetched."""
        need("debootstrap", "systemd-nspawn")
        tar = base()
        self.lock = open(CACHE + "/.machine", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.root, self.process, self.leader = CACHE + "/machine", None, None
        os.makedirs(self.root, exist_ok=True)
        own_mounts()
        run("mount", "-t", "tmpfs", "-o", "size=3g,mode=755", "tmpfs", self.root)  # a disk would take a minute
        run("mount", "-t", "tmpfs", "tmpfs", "/run")  # systemd-nspawn wants it to be one
        run("tar", "-C", self.root, "-xf", tar)
        archives = CACHE + "/archives"
        os.makedirs(archives + "/partial", exist_ok=True)
        run(*self.nspawn("--bind=%s:/var/cache/apt/archives" % archives, "--pipe"), *APT, "systemd-sysv", "dbus")
        for package in packages:
            shutil.copy(package, self.root + "/root")
            run(*self.nspawn("--bind=%s:/var/cache/apt/archives" % archives, "--pipe"), *APT, "--download-only", "/root/" + os.path.basename(package))
        self.archives = archives

    def nspawn(self, *options):
        return ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "-D", self.root, *options]

    def boot(self):
        self.log = open(CACHE + "/machine.log", "wb")
        self.process = subprocess.Popen(self.nspawn("--boot", "--private-network", "--console=pipe", "--system-call-filter=" + LANDLOCK, "--bind=%s:/var/cache/apt/archives" % self.archives),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        try:
            self.leader = kv.wait_for("a leader", self.find_leader, 20)
            kv.wait_for("systemd", lambda: self.do("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"), 60)
        except TimeoutError as e:
            with open(CACHE + "/machine.log", errors="replace") as f:
                last = f.read().split("\n")[-2:]
            raise Unable("systemd-nspawn boots no machine here: %s: %s" % (e, " ".join(last)))

    def find_leader(self):
        if self.process.poll() is not None:
            raise TimeoutError("systemd-nspawn ended with %d" % self.process.returncode)
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
            children = f.read().split()
        for child in children:
            with open("/proc/%s/comm" % child) as f:
                if f.read().strip() == "systemd":
                    return int(child)
        return None

    def do(self, *command, check=True, **more):
        """Runs it in the machine that was booted."""
        done = subprocess.run(["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--", *command],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}, **more)
        if check and done.returncode:
            raise RuntimeError("%s: %d: %s" % (" ".join(command), done.returncode, done.stdout[-3000:]))
        return done

    def install(self, package):
        """One of those that were given."""
        self.do(*APT, "/root/" + os.path.basename(package))

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.lock.close()
