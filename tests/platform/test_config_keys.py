"""Configuration of programs that cannot run here: every key is one that their documentation names.

A key that a program does not know is passed over in silence by most of them, so a typing error looks like a setting that
works. The tables hold what the documentation of the pinned versions has for the places that these files use.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
from compose_lint import REPO, load_yaml

COMPOSE = REPO / "compose"

# Keys below each path; a path ends where anything may stand.
RUNNER = {
    "": {"log", "runner", "cache", "container", "host"},
    "log": {"level"},
    "runner": {"file", "capacity", "envs", "env_file", "timeout", "shutdown_timeout", "insecure", "fetch_timeout", "fetch_interval", "labels"},
    "cache": {"enabled", "dir", "host", "port", "external_server"},
    "container": {"network", "privileged", "options", "workdir_parent", "valid_volumes", "docker_host", "force_pull", "force_rebuild", "require_docker", "docker_timeout"},
    "host": {"workdir_parent"},
}
REGISTRY = {
    "": {"version", "log", "storage", "auth", "middleware", "http", "notifications", "redis", "health", "proxy", "validation"},
    "log": {"accesslog", "level", "formatter", "fields", "hooks"}, "log.fields": {"service", "environment", "source"},
    "storage": {"filesystem", "s3", "inmemory", "azure", "gcs", "delete", "redirect", "cache", "maintenance", "tag"},
    "storage.filesystem": {"rootdirectory", "maxthreads"}, "storage.delete": {"enabled"},
    "storage.maintenance": {"uploadpurging", "readonly"}, "storage.maintenance.uploadpurging": {"enabled", "age", "interval", "dryrun"},
    "auth": {"silly", "token", "htpasswd"}, "auth.htpasswd": {"realm", "path"},
    "http": {"addr", "net", "prefix", "host", "secret", "relativeurls", "draintimeout", "tls", "debug", "headers", "http2", "h2c"},
    "http.debug": {"addr", "prometheus"}, "http.debug.prometheus": {"enabled", "path"},
    "health": {"storagedriver", "file", "http", "tcp"}, "health.storagedriver": {"enabled", "interval", "threshold"},
}  # fmt: skip
CODE_SERVER = {"": {
    "auth", "password", "hashed-password", "bind-addr", "host", "port", "socket", "socket-mode", "trusted-origins", "cert", "cert-host", "cert-key", "proxy-domain",
    "user-data-dir", "extensions-dir", "session-socket", "disable-telemetry", "disable-update-check", "disable-file-downloads", "disable-file-uploads",
    "disable-workspace-trust", "disable-getting-started-override", "disable-proxy", "locale", "app-name", "welcome-text", "log", "verbose",
    "idle-timeout-seconds", "reconnection-grace-time", "link-protection-trusted-domains", "abs-proxy-base-path", "github-auth",
}}  # fmt: skip
GRAFANA = {
    "": {"server", "database", "security", "users", "auth", "auth.anonymous", "auth.basic", "auth.generic_oauth", "dashboards", "unified_alerting", "dataproxy", "metrics",
         "log", "log.console", "analytics", "news", "snapshots", "explore"},
    "server": {"protocol", "http_addr", "http_port", "domain", "root_url", "enable_gzip", "serve_from_sub_path"},
    "database": {"type", "host", "name", "user", "password", "wal", "path"},
    "security": {"admin_user", "admin_password", "secret_key", "cookie_secure", "cookie_samesite", "strict_transport_security", "x_content_type_options", "allow_embedding",
                 "disable_gravatar", "content_security_policy", "data_source_proxy_whitelist"},
    "users": {"allow_sign_up", "allow_org_create", "default_theme", "auto_assign_org", "auto_assign_org_role", "viewers_can_edit"},
    "auth": {"login_maximum_inactive_lifetime_duration", "login_maximum_lifetime_duration", "disable_login_form", "oauth_auto_login", "signout_redirect_url", "token_rotation_interval_minutes"},
    "auth.anonymous": {"enabled", "org_name", "org_role", "hide_version"},
    "auth.basic": {"enabled"},
    "auth.generic_oauth": {"enabled", "name", "client_id", "client_secret", "scopes", "auth_url", "token_url", "api_url", "use_pkce", "allow_sign_up", "role_attribute_path", "auto_login",
                           "login_attribute_path", "name_attribute_path", "email_attribute_path", "groups_attribute_path", "allow_assign_grafana_admin", "signout_redirect_url", "tls_client_ca"},
    "dashboards": {"default_home_dashboard_path", "min_refresh_interval", "versions_to_keep"},
    "unified_alerting": {"enabled"}, "dataproxy": {"timeout", "logging", "keep_alive_seconds", "idle_conn_timeout_seconds"},
    "metrics": {"enabled", "interval_seconds", "basic_auth_username", "basic_auth_password"},
    "log": {"mode", "level", "filters"}, "log.console": {"level", "format"},
    "analytics": {"reporting_enabled", "check_for_updates", "check_for_plugin_updates", "feedback_links_enabled"},
    "news": {"news_feed_enabled"}, "snapshots": {"enabled", "external_enabled"}, "explore": {"enabled"},
}  # fmt: skip
DASHBOARDS = {
    "": {"apiVersion", "providers"},
    "providers": {"name", "orgId", "type", "folder", "folderUid", "disableDeletion", "updateIntervalSeconds", "allowUiUpdates", "options"},
    "providers.options": {"path", "foldersFromFilesStructure"},
}


def read(path: Path) -> Any:
    if path.suffix != ".ini":
        return load_yaml(path.read_text())
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string(path.read_text())
    return {section: dict(ini[section]) for section in ini.sections()}


def unknown(data: Any, table: dict[str, set[str]], where: str = "", separator: str = ".") -> Iterator[str]:
    """Keys that the table lacks, with the path to each. Below a path without an entry anything may stand."""
    if isinstance(data, list):
        for item in data:
            yield from unknown(item, table, where)
    elif isinstance(data, dict) and where in table:
        for key, value in data.items():
            here = f"{where}{separator}{key}" if where else str(key)
            if key not in table[where]:
                yield here
            else:
                yield from unknown(value, table, here)


FILES = {
    "compose/ci/config/runner.yaml": (RUNNER, "capacity:", "capcity:", "runner.capcity"),
    "compose/ci/config/registry.yml": (REGISTRY, "htpasswd:", "htpaswd:", "auth.htpaswd"),
    "compose/workspaces/config/code-server.yaml": (CODE_SERVER, "disable-telemetry:", "disable-telemetri:", "disable-telemetri"),
    "compose/monitoring/config/grafana/grafana.ini": (GRAFANA, "[auth.basic]", "[auth.basics]", "auth.basics"),
    "compose/monitoring/config/grafana/provisioning/dashboards/omni.yaml": (DASHBOARDS, "foldersFromFilesStructure", "foldersFromFiles", "providers.options.foldersFromFiles"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_key_is_documented(name: str, tmp_path: Path) -> None:
    table, old, new, said = FILES[name]
    assert list(unknown(read(REPO / name), table)) == []
    broken = tmp_path / Path(name).name
    text = (REPO / name).read_text()
    assert old in text
    broken.write_text(text.replace(old, new, 1))
    assert said in list(unknown(read(broken), table)), "the table notices nothing"


def grafana_setting(variable: str) -> bool:
    """GF_SECTION_KEY, where both may have underscores, and dots are written so too."""
    name = variable.removeprefix("GF_").removesuffix("__FILE").lower()
    return any(name == f"{section.replace('.', '_')}_{key}" for section, keys in GRAFANA.items() if section for key in keys)


def test_grafanas_settings_by_environment_are_documented() -> None:
    given = re.findall(r"^\s+(GF_[A-Z_]+):", (COMPOSE / "monitoring" / "docker-compose.yml").read_text(), re.M)
    assert len(given) > 5 and [name for name in given if not grafana_setting(name)] == []
    assert not grafana_setting("GF_AUTH_GENERIC_OAUTH_CLIENT") and grafana_setting("GF_SECURITY_SECRET_KEY__FILE")


HCL = sorted([*COMPOSE.rglob("*.hcl"), *COMPOSE.rglob("*.hcl.example"), *COMPOSE.rglob("*.tf")])


@pytest.mark.parametrize("path", HCL, ids=lambda path: path.name)
def test_hcl_can_be_read(path: Path) -> None:
    """By another reader than the one that test_secrets.py judges the contents with."""
    assert hcl2.loads(path.read_text())


# Blocks of the two providers that the template uses, and the arguments that their documentation names for them.
TEMPLATE = {
    "data": {
        "coder_provisioner": set(), "coder_workspace": set(), "coder_workspace_owner": set(),
        "coder_parameter": {"name", "display_name", "description", "type", "default", "mutable", "icon", "order", "option", "validation", "ephemeral"},
    },
    "resource": {
        "coder_agent": {"arch", "os", "startup_script", "startup_script_behavior", "dir", "env", "metadata", "display_apps", "connection_timeout", "shutdown_script", "auth"},
        "coder_app": {"agent_id", "slug", "display_name", "url", "share", "subdomain", "icon", "healthcheck", "command", "external", "order", "open_in"},
        "docker_volume": {"name", "driver", "driver_opts", "labels", "lifecycle"},
        "docker_container": {"count", "image", "name", "hostname", "user", "gpus", "entrypoint", "command", "env", "volumes", "host", "networks_advanced", "memory", "runtime", "labels"},
    },
}  # fmt: skip


def template_faults(text: str) -> list[str]:
    document = hcl2.loads(text)
    found, names = [], set()
    for kind, types in TEMPLATE.items():
        for block in document.get(kind, []):
            for type_, bodies in block.items():
                if type_.startswith("__"):
                    continue
                type_ = type_.strip('"')
                for name, body in bodies.items():
                    if name.startswith("__"):
                        continue
                    names.add(f"{'data.' if kind == 'data' else ''}{type_}.{name.strip(chr(34))}")
                    if type_ not in types:
                        found.append(f"{kind} {type_}")
                        continue
                    found += [f"{type_}: {key}" for key in body if not key.startswith("__") and key not in types[type_]]
    used = re.findall(r"\b((?:data\.)?(?:coder|docker)_[a-z_]+\.[a-z_]+)\.", text)
    return found + [f"{reference} is nowhere" for reference in used if reference not in names]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("", "", ""), ("startup_script ", "startup_scrpt ", "coder_agent: startup_scrpt"), ("docker_volume.home.name", "docker_volume.hom.name", "docker_volume.hom is nowhere"), ('resource "coder_app"', 'resource "coder_ap"', "resource coder_ap")],
)  # fmt: skip
def test_coders_template_names_what_there_is(old: str, new: str, said: str) -> None:
    text = (COMPOSE / "workspaces" / "coder" / "main.tf").read_text()
    assert old in text
    faults = template_faults(text.replace(old, new, 1))
    assert faults == [] if not said else said in faults
