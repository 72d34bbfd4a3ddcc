// The API's own words, from the generated description, under short names.

import type { components } from "./schema";

type Schemas = components["schemas"];

export type AccessRole = Schemas["AccessRole"];
export type Alert = Schemas["AlertView"];
export type Allocation = Schemas["AllocationView"];
export type ApiToken = Schemas["ApiTokenView"];
export type App = Schemas["AppView"];
export type AuditEntry = Schemas["AuditEntry"];
export type BackupDefaults = Schemas["BackupDefaults"];
export type BackupPolicy = Schemas["BackupPolicyView"];
export type Change = Schemas["Change"];
export type Container = Schemas["ContainerView"];
export type Controller = Schemas["ControllerView"];
export type Credentials = Schemas["RepositoryCredentials"];
export type Deployment = Schemas["DeploymentView"];
export type DeployPlan = Schemas["DeployPlan"];
export type Event = Schemas["Event"];
export type EventsMessage = Schemas["EventsMessage"];
export type ExecOutput = Schemas["ExecOutput"];
export type Explanation = Schemas["Explanation"];
export type FileEntry = Schemas["FileEntry"];
export type Health = Schemas["ClusterHealth"];
export type Host = Schemas["HostView"];
export type HostSample = Schemas["HostSample"];
export type JoinToken = Schemas["JoinTokenView"];
/** An instance whose data is on a lost host. */
export type Loss = Schemas["StrandedView"];
export type LiveMetricsMessage = Schemas["LiveMetricsMessage"];
export type LogEntry = Schemas["LogEntry"];
export type LogSource = Schemas["LogSource"];
export type LogsMessage = Schemas["LogsMessage"];
export type Move = Schemas["MoveView"];
export type MovePlan = Schemas["MovePlan"];
export type MoveStage = Schemas["MoveStage"];
export type NeededFile = Schemas["NeededFile"];
export type OidcGroup = Schemas["OidcGroup"];
export type OidcProvider = Schemas["OidcView"];
export type OldData = Schemas["OldDataView"];
export type PagePass = Schemas["PagePass"];
export type PolicyOptions = Schemas["PolicyOptions"];
export type ProblemBody = Schemas["Problem"];
export type Project = Schemas["Project"];
export type Protection = Schemas["Protection"];
export type Reading = Schemas["ProjectReading"];
export type Release = Schemas["ReleaseView"];
export type Repository = Schemas["RepositoryView"];
export type RestorePlan = Schemas["RestorePlan"];
export type Run = Schemas["RunView"];
export type RunKind = Schemas["RunKind"];
export type RunProgress = Schemas["RunProgress"];
export type RunState = Schemas["RunState"];
export type Scope = Schemas["AccessScope"];
export type Secret = Schemas["SecretView"];
export type SessionStarted = Schemas["SessionStarted"];
export type SessionView = Schemas["SessionView"];
export type Snapshot = Schemas["SnapshotView"];
export type Standing = Schemas["AppBackupView"];
export type StartRestore = Schemas["StartRestore"];
export type StartRun = Schemas["StartRun"];
export type System = Schemas["SystemView"];
export type Status = Schemas["ClusterStatus"];
export type User = Schemas["UserView"];
export type UserChange = Schemas["UpdateUser"];
export type WaysIn = Schemas["WaysIn"];
export type WhoAmI = Schemas["WhoAmI"];

export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}
