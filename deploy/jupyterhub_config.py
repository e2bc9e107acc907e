# A JupyterHub for a class, on one machine with Docker:
#
#     docker build --file binder/Dockerfile --tag crossflow .
#     pip install jupyterhub==6.1.1 dockerspawner==14.0.0 jupyterhub-nativeauthenticator==1.3.0 && npm install --global configurable-http-proxy
#     jupyterhub --config deploy/jupyterhub_config.py
#
# Memory and processors a participant: docs/workshop.md says what was measured.
c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.JupyterHub.hub_ip = "0.0.0.0"
c.DockerSpawner.image = "crossflow"
c.DockerSpawner.cmd = ["jupyterhub-singleuser"]
c.DockerSpawner.remove = True
# What a participant writes outlives the container; the project itself comes with the image.
c.DockerSpawner.volumes = {"crossflow-{username}": "/home/jovyan/crossflow/workshop"}
c.DockerSpawner.notebook_dir = "/home/jovyan/crossflow"
c.Spawner.default_url = "/lab/tree/workshop/{username}/01-encode.ipynb"
c.Spawner.mem_limit = "4G"
c.Spawner.cpu_limit = 2
c.Spawner.environment = {"CROSSFLOW_SETTING": "FAST"}


def make_copy(spawner):
    """Each participant starts in a copy of their own, made once."""
    name = spawner.user.name
    spawner.cmd = [
        "sh",
        "-c",
        'cd /home/jovyan/crossflow && npx crossflow workshop --participant "$0" --no-lab && '
        'CROSSFLOW_WORKSHOP_LOG="$PWD/workshop/$0/times.jsonl" exec jupyterhub-singleuser',
        name,
    ]


c.Spawner.pre_spawn_hook = make_copy

# People register themselves, and the teacher admits them at /hub/authorize.
c.JupyterHub.authenticator_class = "native"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"teacher"}
