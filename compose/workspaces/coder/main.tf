# A workspace of Coder as a container of the host on which Coder runs, from the images of this stack.
# Follows Coder's documentation; not run here. Resolve the newest fitting provider versions once (terraform init), commit the
# lock file that it writes, and only then `coder templates push omni -d compose/workspaces/coder`.
terraform {
  required_providers {
    coder  = { source = "coder/coder" }
    docker = { source = "kreuzwerker/docker" }
  }
}

data "coder_provisioner" "me" {}
data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}

data "coder_parameter" "flavour" {
  name         = "flavour"
  display_name = "Flavour"
  description  = "Which image; scripts/init.sh has to have built it on this host."
  type         = "string"
  default      = "python"
  mutable      = false
  option {
    name  = "Python"
    value = "python"
  }
  option {
    name  = "Node.js"
    value = "node"
  }
  option {
    name  = "Rust"
    value = "rust"
  }
  option {
    name  = "Go"
    value = "go"
  }
  option {
    name  = "GPU and machine learning"
    value = "gpu-ml"
  }
}

resource "coder_agent" "main" {
  arch = data.coder_provisioner.me.arch
  os   = "linux"
  # On the agent's loopback alone; Coder has signed people in before it passes them on.
  startup_script = <<-EOT
    set -e
    [ -e "$HOME/.bashrc" ] || cp -RT /etc/skel "$HOME"
    mkdir -p "$HOME/projects"
    nohup code-server --auth none --bind-addr 127.0.0.1:8080 --disable-telemetry --disable-update-check "$HOME/projects" >/tmp/code-server.log 2>&1 &
  EOT
}

resource "coder_app" "code" {
  agent_id     = coder_agent.main.id
  slug         = "code"
  display_name = "VS Code"
  url          = "http://localhost:8080/?folder=/home/coder/projects"
  share        = "owner"
  subdomain    = false
  healthcheck {
    url       = "http://localhost:8080/healthz"
    interval  = 15
    threshold = 5
  }
}

resource "docker_volume" "home" {
  name = "coder-${data.coder_workspace.me.id}-home"
  # A changed template never takes somebody's home along.
  lifecycle {
    ignore_changes = all
  }
}

resource "docker_container" "workspace" {
  # 0 while it is stopped: the container goes, the volume stays.
  count      = data.coder_workspace.me.start_count
  image      = "omni/workspace-${data.coder_parameter.flavour.value}:4.133.0"
  name       = "coder-${data.coder_workspace_owner.me.name}-${lower(data.coder_workspace.me.name)}"
  hostname   = data.coder_workspace.me.name
  user       = "coder"
  gpus       = data.coder_parameter.flavour.value == "gpu-ml" ? "all" : null
  entrypoint = ["sh", "-c", coder_agent.main.init_script]
  env        = ["CODER_AGENT_TOKEN=${coder_agent.main.token}"]
  volumes {
    container_path = "/home/coder"
    volume_name    = docker_volume.home.name
  }
}
