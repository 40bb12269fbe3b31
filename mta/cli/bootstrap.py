"""Make the source tree ready to run: a Python environment in `.venv` with what mta needs.

`bin/mta` runs this file with whatever python3 there is, before anything is installed, so it
imports nothing but the standard library and stays readable to a Python that is too old: that
one has to be told so in words.

The stamp `.venv/mta-installed` is completed last. It names the tree, the interpreter and a
digest of the requirements of each part; an installation without a stamp that fits was
interrupted, or belongs to another place or Python, and is done again. A lock on the tree's
directory keeps two first runs apart. When root runs a tree that somebody else owns, the
installation is that owner's, so that he can renew it later.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time

OLDEST = (3, 11)
LOCK_WAIT = 900.0
COMMON_PYTHON = "/usr/bin/python3"
PARTS = ("run", "test")


class Unable(Exception):
    """The tree cannot be made ready; the text says what to do about it."""


def say(text: str) -> None:
    """Progress goes to standard error: the command's own output may be read by a program."""
    print(f"mta: {text}", file=sys.stderr, flush=True)


def main(argv: list[str]) -> None:
    """`bootstrap.py TREE ARGUMENT...`: prepare TREE, then become `mta ARGUMENT...`."""
    use_common_python(argv)
    tree, arguments = os.path.abspath(argv[1]), argv[2:]
    install_only = arguments[:1] == ["--install-only"]
    wanted = "test" if "test" in arguments[:2] else "run"
    try:
        if sys.version_info < OLDEST:
            raise Unable(
                f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, and python3 is"
                f" {sys.version_info[0]}.{sys.version_info[1]}; put a newer one first in PATH"
            )
        prepare(tree, wanted)
    except Unable as why:
        say(str(why))
        sys.exit(69)
    except KeyboardInterrupt:
        say("interrupted; the next start will begin the installation again")
        sys.exit(130)
    if not install_only:
        run(tree, arguments)


def use_common_python(argv: list[str]) -> None:
    """As root, leave a Python which only root can run for the system's, if that will do.

    The daemon's processes give up root and go on reading the library: an interpreter below
    /root is of no use to them.
    """
    if (
        os.geteuid() != 0
        or not is_private(sys.executable)
        or not os.path.exists(COMMON_PYTHON)
    ):
        return
    probe = f"import ensurepip, sys; sys.exit(sys.version_info < {OLDEST})"
    fits = subprocess.run([COMMON_PYTHON, "-I", "-c", probe], check=False, capture_output=True)
    if fits.returncode == 0 and not is_private(COMMON_PYTHON):
        os.execv(COMMON_PYTHON, [COMMON_PYTHON, "-I", "-B", *argv])


def is_private(path: str) -> bool:
    """Whether a directory on the way to the file is closed to other users."""
    place = os.path.realpath(path)
    while place != "/":
        place = os.path.dirname(place)
        if os.path.exists(place) and not os.stat(place).st_mode & 0o001:
            return True
    return False


def run(tree: str, arguments: list[str]) -> None:
    """Go on as the mta command, in the environment of the tree."""
    python = os.path.join(tree, ".venv", "bin", "python")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); del sys.argv[1]; sys.argv[0] = 'mta'\n"
        "from mta.cli.main import main; sys.exit(main())"
    )
    # Caches of compiled code that root left in somebody's tree would be in his way.
    flags = "-I" if os.geteuid() == os.stat(tree).st_uid else "-IB"
    os.execv(python, [python, flags, "-c", code, tree, *arguments])


def prepare(tree: str, wanted: str) -> None:
    """Return when the part `wanted` is installed in the tree; raise Unable when that fails."""
    needs = requirements(tree)
    if is_ready(tree, needs, wanted):
        return
    owner = os.stat(tree).st_uid
    if os.geteuid() == 0 and owner != 0:
        install_as_owner(tree, wanted, owner)
    else:
        with_lock(tree, needs, wanted)


def requirements(tree: str) -> dict[str, list[str]]:
    """What each part needs, as pyproject.toml says it; the test part includes the other."""
    import tomllib  # not there in a Python that is too old

    with open(os.path.join(tree, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)["project"]
    run_needs = list(project["dependencies"])
    return {"run": run_needs, "test": run_needs + project["optional-dependencies"]["test"]}


def fingerprint(tree: str, needs: list[str]) -> dict[str, str]:
    """What a stamp must say to fit this tree, its interpreter and these requirements."""
    python = os.path.realpath(os.path.join(tree, ".venv", "bin", "python"))
    digest = hashlib.sha256("\n".join(sorted(needs)).encode()).hexdigest()
    return {"tree": os.path.realpath(tree), "python": python, "requirements": digest}


def stamp_path(tree: str) -> str:
    """Where the last step of an installation is recorded."""
    return os.path.join(tree, ".venv", "mta-installed")


def read_stamp(tree: str) -> dict[str, dict[str, str]]:
    """The fingerprint of each installed part; empty when there is no usable stamp."""
    try:
        with open(stamp_path(tree), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_stamp(tree: str, stamps: dict[str, dict[str, str]]) -> None:
    """Record what is installed, at once or not at all."""
    draft = stamp_path(tree) + ".new"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(stamps, file, indent=1)
    os.rename(draft, stamp_path(tree))


def is_ready(tree: str, needs: dict[str, list[str]], wanted: str) -> bool:
    """Whether the environment is complete, and belongs to this tree and interpreter."""
    found = fingerprint(tree, needs[wanted])
    if not os.access(found["python"], os.X_OK) or read_stamp(tree).get(wanted) != found:
        return False
    # An environment that root made with a Python of his own, when a common one is at hand.
    return os.geteuid() != 0 or not is_private(found["python"]) or is_private(sys.executable)


def install_as_owner(tree: str, wanted: str, owner: int) -> None:
    """Install in a child that has become the owner of the tree."""
    import pwd

    try:
        who = pwd.getpwuid(owner)
        home, group, name = who.pw_dir, who.pw_gid, who.pw_name
        groups = os.getgrouplist(name, group)
    except KeyError:
        home, group, name, groups = "/nonexistent", os.stat(tree).st_gid, str(owner), []
    say(f"{tree} belongs to {name}, so the installation is made by that user")
    again = [sys.executable, "-I", "-B", os.path.abspath(__file__), tree, "--install-only"]
    if wanted == "test":
        again.append("test")
    # Root's caches and settings are of no use to him.
    environment = {key: text for key, text in os.environ.items() if key[:4] != "XDG_"}
    environment |= {"HOME": home, "USER": name, "LOGNAME": name}
    ended = subprocess.run(
        again, user=owner, group=group, extra_groups=groups, env=environment, check=False
    )
    if ended.returncode != 0:
        sys.exit(ended.returncode)


def with_lock(tree: str, needs: dict[str, list[str]], wanted: str) -> None:
    """Install, unless somebody else did so while we waited for him."""
    if not os.access(tree, os.W_OK):
        raise Unable(
            f"the first use must install into {tree}/.venv, and you may not write there;"
            " run it once as the owner of the tree, or from a copy of your own"
        )
    # The directory itself is locked: a lock file would be one more thing to leave behind.
    lock = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        wait_for(lock, tree)
        if not is_ready(tree, needs, wanted):
            install(tree, needs, wanted)
    finally:
        os.close(lock)


def wait_for(lock: int, tree: str) -> None:
    """Take the lock, saying so when it takes time."""
    deadline = time.monotonic() + LOCK_WAIT
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unable(f"another process has held the lock on {tree} too long") from None
            if not told:
                say("another process is installing there; waiting for it")
                told = True
            time.sleep(0.2)
        else:
            return


def install(tree: str, needs: dict[str, list[str]], wanted: str) -> None:
    """Make the environment, fill it, and stamp it last of all."""
    os.umask(0o022)
    began = time.monotonic()
    environment = os.path.join(tree, ".venv")
    stamps = read_stamp(tree)
    here = fingerprint(tree, [])
    private = (
        os.geteuid() == 0 and is_private(here["python"]) and not is_private(sys.executable)
    )
    usable = not private and any(
        (stamp.get("tree"), stamp.get("python")) == (here["tree"], here["python"])
        for stamp in stamps.values()
    )
    # From here to the last line an interruption must lead to a new installation.  What is to
    # be added for the tests takes nothing away: where that fails the program goes on working.
    stamps = {part: stamps[part] for part in PARTS if usable and part in stamps}
    if stamps.get("run") != fingerprint(tree, needs["run"]):
        stamps = {}
    if usable:
        write_stamp(tree, stamps | {"environment": here})
    elif os.path.lexists(stamp_path(tree)):
        os.unlink(stamp_path(tree))
    say(f"installing what mta needs into {environment} (once; about half a minute)")
    if not usable:
        make_environment(environment)
    python = os.path.join(environment, "bin", "python")
    run_pip(python, needs[wanted])
    link_tree(python, tree)
    for part in PARTS:
        if wanted in (part, "test"):
            stamps[part] = fingerprint(tree, needs[part])
    write_stamp(tree, stamps)
    say(f"installed in {time.monotonic() - began:.0f} seconds")


def make_environment(environment: str) -> None:
    """An empty environment; what an interrupted installation left there is thrown away."""
    try:
        import ensurepip  # noqa: F401  (Debian ships it in the package python3-venv)
        import venv
    except ImportError:
        raise Unable(
            "this Python cannot make environments; on Debian: apt-get install python3-venv"
        ) from None
    say(f"  an environment for Python {sys.version.split(' ')[0]}")
    try:
        venv.create(environment, clear=True, symlinks=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as why:
        raise Unable(f"could not make {environment}: {why}") from why


def run_pip(python: str, needs: list[str]) -> None:
    """Fetch and install the packages, naming each as its turn comes."""
    command = [python, "-I", "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    pip = subprocess.Popen(
        [*command, *needs],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: list[str] = []
    assert pip.stdout is not None
    for line in pip.stdout:
        lines.append(line.rstrip("\n"))
        words = line.split(" ")
        if words[0] in ("Collecting", "Processing") and len(words) > 1:
            name = os.path.basename(words[1].rstrip())
            say(f"  {name.partition('-')[0] if name.endswith('.whl') else name}")
        elif words[0] == "Installing":
            say("  unpacking")
    if pip.wait() != 0:
        # What it tried again and again, it says each time.
        for line in [line for line in lines if line[:5] == "ERROR"] or lines[-12:]:
            say(f"  pip: {line}")
        raise Unable(
            "the packages could not be installed; is the network reachable from here?"
        )


def link_tree(python: str, tree: str) -> None:
    """Let the environment's Python find mta in the tree, and compile it for start-up speed."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    asked = subprocess.run(
        [python, "-I", "-c", where], check=True, capture_output=True, text=True
    )
    site_packages = asked.stdout.rstrip("\n")
    with open(os.path.join(site_packages, "mta-tree.pth"), "w", encoding="utf-8") as file:
        file.write(os.path.realpath(tree) + "\n")
    compiling = [python, "-I", "-m", "compileall", "-q", os.path.join(tree, "mta")]
    # A file that does not compile is reported when it is imported, with its traceback.
    subprocess.run(compiling, check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(sys.argv)
