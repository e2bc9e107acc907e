# A JupyterHub for a class, on one Linux machine with Docker, Python and Node 22:
#
#     docker build --file binder/Dockerfile --tag crossflow .
#     pip install jupyterhub==6.1.1 dockerspawner==14.0.0
#     npm install --global configurable-http-proxy@5.3.0
#     CLASS_PASSWORD=... TEACHER_PASSWORD=... jupyterhub --config deploy/jupyterhub_config.py
#
# It listens on port 8000, without encryption: fine in a classroom's own network; on the internet put a proxy with TLS before it.
# Memory and processors a participant: docs/workshop.md says what was measured.
import ipaddress
import os

import docker

c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
# Where containers reach this machine: the address of Docker's bridge. Containers don't know the machine's name, which the hub would give them.
# Some versions of Docker don't name it: then it is the first of the bridge's addresses.
bridge = docker.from_env().networks.get("bridge").attrs["IPAM"]["Config"][0]
c.JupyterHub.hub_ip = bridge.get("Gateway") or str(next(ipaddress.ip_network(bridge["Subnet"]).hosts()))
c.DockerSpawner.image = "crossflow"
c.DockerSpawner.remove = True
# What a participant writes outlives the container; the project itself comes with the image.
c.DockerSpawner.volumes = {"crossflow-{username}": "/home/jovyan/crossflow/workshop"}
c.DockerSpawner.notebook_dir = "/home/jovyan/crossflow"
c.Spawner.default_url = "/lab/tree/workshop/{username}/01-encode.ipynb"
c.Spawner.mem_limit = "4G"
c.Spawner.cpu_limit = 2
c.Spawner.environment = {"CROSSFLOW_SETTING": "FAST"}
# A whole class starts in the same minute.
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 300


def make_copy(spawner):
    """Each participant starts in a copy of their own, made once, in the folder that default_url names."""
    spawner.cmd = [
        "sh",
        "-c",
        'cd /home/jovyan/crossflow && npx crossflow workshop --participant "$0" --no-lab && '
        'CROSSFLOW_WORKSHOP_LOG="$PWD/workshop/$0/times.jsonl" exec jupyterhub-singleuser "$@"',
        spawner.escaped_name,
    ]


c.Spawner.pre_spawn_hook = make_copy

# Everybody logs in with a name of their own and the class's password; "teacher" with another one, and sees all servers at /hub/admin.
# Participants who know one another's name could log in as one another. Other ways to log in: JupyterHub's authenticators.
for variable, length in [("CLASS_PASSWORD", 8), ("TEACHER_PASSWORD", 32)]:
    if len(os.environ.get(variable, "")) < length:
        raise SystemExit(f"Set the variable {variable} to a password of at least {length} characters, then start the hub again.")
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["CLASS_PASSWORD"]
c.SharedPasswordAuthenticator.admin_password = os.environ["TEACHER_PASSWORD"]
c.Authenticator.admin_users = {"teacher"}
c.Authenticator.allow_all = True
# Names that are a folder's name too.
c.Authenticator.username_pattern = r"[a-z0-9][a-z0-9._-]*"
