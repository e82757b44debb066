"""Paths of the program, the library and the libraries that they load at run time."""
import glob
import os
import pathlib
import site
import sys
import sysconfig

from ._errors import Error

PACKAGE = pathlib.Path(__file__).resolve().parent
# Files of certificate authorities on different systems.
AUTHORITIES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"]


def find(*names):
    """The first of these files that exists. They are looked for in CONVOY_HOME (a clone, a build folder or an install prefix) if it is
    set, otherwise in this package and in the clone that contains it."""
    home = os.environ.get("CONVOY_HOME")
    homes = [pathlib.Path(home)] if home else [PACKAGE, PACKAGE.parents[1]]
    for folder in homes:
        for place in (folder, folder / "build" / "gpu", folder / "build" / "t4", folder / "build" / "cpu"):
            for name in names:
                if (place / name).is_file():
                    return place / name
    raise Error(f"{names[-1]} is neither in {' nor in '.join(map(str, homes))}; install the wheel, build Convoy, or set CONVOY_HOME")


def program():
    return find("bin/convoy", "convoy")


def library():
    return find("lib/libconvoy.so", "libconvoy.so")


def configs():
    """The folder of Convoy's own configurations, as a pathlib.Path."""
    return find("share/convoy/configs/quickstart.yaml", "configs/quickstart.yaml", "../../configs/quickstart.yaml").parent.resolve()


def library_folders():
    """Folders in which other wheels put cuBLAS, NCCL and MPI."""
    folders = []
    for packages in dict.fromkeys([*site.getsitepackages(), site.getusersitepackages(), *sys.path]):
        folders += sorted(glob.glob(os.path.join(glob.escape(packages), "nvidia", "*", "lib")))
    for prefix in dict.fromkeys([sysconfig.get_path("data"), site.getuserbase()]):
        if glob.glob(os.path.join(glob.escape(prefix), "lib", "libmpi.so*")):
            folders.append(os.path.join(prefix, "lib"))
    return list(dict.fromkeys(folders))


def environment():
    """os.environ with what the program needs from this Python: CONVOY_LIBRARY_PATH, and SSL_CERT_FILE for downloads if the system does
    not keep certificates where Debian does."""
    variables = dict(os.environ)
    path = [folder for folder in variables.get("CONVOY_LIBRARY_PATH", "").split(os.pathsep) if folder]
    path += [folder for folder in library_folders() if folder not in path]
    if path:
        variables["CONVOY_LIBRARY_PATH"] = os.pathsep.join(path)
    if "SSL_CERT_FILE" not in variables and not os.path.exists(AUTHORITIES[0]):
        found = next(filter(os.path.exists, AUTHORITIES), None) or _certifi()
        if found:
            variables["SSL_CERT_FILE"] = found
    return variables


def _certifi():
    try:
        import certifi
    except ImportError:
        return None
    return certifi.where()
