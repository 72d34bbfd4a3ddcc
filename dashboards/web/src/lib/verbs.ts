// The verbs of the `omni` command, and where each is done here; those of a terminal alone say so.

import type { AccessRole } from "./types";

export interface Verb {
  id: string;
  text: string;
  /** What the command calls it: verbs, and words behind them in parentheses. */
  omni: string;
  /** Where it is done; absent when it is an act of the page itself. */
  href?: string;
  /** Who may do it; anybody when absent. */
  role?: AccessRole;
  /** It is about everything at once: not for those who are confined to environments or apps. */
  whole?: boolean;
  /** Only a person has it, not a token. */
  person?: boolean;
}

export const VERBS: Verb[] = [
  { id: "deploy", text: "Deploy a compose file", omni: "deploy", href: "#/deploy", role: "operator" },
  {
    id: "adopt",
    text: "Take over a compose project that runs: in a terminal, `omni adopt --host HOST`",
    omni: "adopt",
    href: "#/hosts",
    role: "operator",
    whole: true,
  },
  { id: "health", text: "What needs a person now", omni: "health, status", href: "#/" },
  { id: "ps", text: "List all containers", omni: "ps, top", href: "#/containers" },
  { id: "logs", text: "Read logs: choose a container", omni: "logs", href: "#/containers" },
  {
    id: "exec",
    text: "Open a terminal: choose a running container",
    omni: "exec",
    href: "#/containers?state=running",
    role: "operator",
  },
  { id: "apps", text: "List all apps", omni: "apps", href: "#/apps" },
  {
    id: "releases",
    text: "Releases, what differs, why here: choose an app",
    omni: "releases, diff, explain",
    href: "#/apps",
  },
  {
    id: "rollback",
    text: "Roll back, scale, start, stop, restart, remove: choose an app",
    omni: "rollback, rollout, scale, start, stop, restart, rm",
    href: "#/apps",
    role: "operator",
  },
  { id: "move", text: "Move an app to another host: choose it", omni: "move", href: "#/apps", role: "operator" },
  {
    id: "drain",
    text: "Drain or cordon: choose a host",
    omni: "hosts, drain, undrain, cordon, uncordon",
    href: "#/hosts",
    role: "operator",
    whole: true,
  },
  {
    id: "systems",
    text: "Systems of the platform and what of them runs",
    omni: "systems",
    href: "#/systems",
    whole: true,
  },
  {
    id: "image",
    text: "Images on hosts: in a terminal, `omni image ls` and `omni image push`",
    omni: "image",
    href: "#/hosts",
  },
  { id: "backups", text: "What would be lost if a host died now", omni: "backup", href: "#/backups", whole: true },
  {
    id: "runs",
    text: "Runs of backups, restores, drills",
    omni: "backup (list, show, cancel)",
    href: "#/backups/runs",
    whole: true,
  },
  {
    id: "snapshots",
    text: "Snapshots: find one to look into or restore",
    omni: "snapshots, restore",
    href: "#/backups/snapshots",
  },
  {
    id: "drills",
    text: "Drills: prove that data comes back",
    omni: "drills",
    href: "#/backups/drills",
    whole: true,
  },
  {
    id: "repositories",
    text: "Repositories of backups",
    omni: "backup (repo)",
    href: "#/backups/repositories",
    whole: true,
  },
  {
    id: "policies",
    text: "Policies of backups, and defaults",
    omni: "backup (policy, defaults)",
    href: "#/backups/policies",
    whole: true,
  },
  {
    id: "secrets",
    text: "Secrets: of repositories, and how hosts sign in to registries",
    omni: "secrets, registry",
    href: "#/backups/secrets",
    role: "operator",
    whole: true,
  },
  { id: "alerts", text: "Alerts that are firing", omni: "alerts", href: "#/alerts", whole: true },
  { id: "events", text: "What happened", omni: "events", href: "#/events" },
  { id: "audit", text: "Who did what", omni: "audit", href: "#/events/audit", role: "admin" },
  {
    id: "controllers",
    text: "Controllers: who leads, which version each is, hand over, remove",
    omni: "controllers, version",
    href: "#/controllers",
  },
  { id: "join", text: "Let a host or controller join", omni: "token (create)", href: "#/access/join", role: "admin" },
  { id: "tokens", text: "Tokens of programs", omni: "token (create-api)", href: "#/access/tokens", role: "admin" },
  { id: "users", text: "People and what they may do", omni: "users", href: "#/access", role: "admin" },
  {
    id: "auth",
    text: "How people sign in: an OpenID provider",
    omni: "auth",
    href: "#/access/sign-on",
    role: "admin",
  },
  { id: "account", text: "My account: password, sessions", omni: "account", href: "#/account", person: true },
  { id: "theme", text: "Use the other colours, light or dark", omni: "" },
  {
    id: "terminal",
    text: "At a terminal of your own: `omni login`, `omni context`, `omni completion`; its sessions",
    omni: "login, context, completion",
    href: "#/account",
  },
  { id: "out", text: "Sign out", omni: "logout" },
];
