// What people do about moves and losses; asks first where the app stops or something is lost.

import { post } from "./api";
import { asks } from "./ask.svelte";
import { clock } from "./clock.svelte";
import { duration, moment } from "./format";
import { link } from "./router.svelte";
import { lossText, oldText, removable } from "./moves";
import type { App, Loss, Move } from "./types";

type Named = Pick<App, "environment" | "name">;
const pathOf = (app: Named) => ({ environment: app.environment, app: app.name });
const nameOf = (app: Named) => `${app.environment}/${app.name}`;

export const moveHref = (environment: string, app: string, query: Record<string, string | undefined> = {}): string =>
  link(["apps", environment, app, "move"], query);

/** Gives a move up, or takes it back. Whether that was begun. */
export async function goBack(app: App, move: Move): Promise<boolean> {
  const full = nameOf(app);
  const settled = move.stage === "settled";
  const homes = [...new Set(move.legs.map((leg) => leg.from_name))].join(", ");
  const data = move.legs.some((leg) => leg.data);
  const written = `what it wrote on ${move.to_name} in the ${duration(clock.since(move.healthy ?? move.since))} since it moved`;
  const question = settled
    ? {
        title: `Take ${full} back to ${homes}?`,
        says: data
          ? [
              `It stops on ${move.to_name} and starts on ${homes} with the data of the moment it moved.`,
              `It goes on without ${written}. That is not brought along: it stays on ${move.to_name}, in the list of old copies.`,
            ]
          : [`It starts on ${homes} again and stops on ${move.to_name}.`],
        yes: "Go back",
        danger: true,
      }
    : {
        title: `Give the move of ${full} up?`,
        says: [
          move.stage === "starting"
            ? `It stops on ${move.to_name}, and goes on where it was with the data it had.`
            : `It goes on where it was. What was brought to ${move.to_name} is removed.`,
        ],
        yes: "Give up",
        danger: true,
      };
  if (!(await asks.confirm(question))) return false;
  const done = settled ? `${full} goes back` : `The move of ${full} is given up`;
  return asks.act(done, () => post("/api/v1/apps/{environment}/{app}/move/back", { path: pathOf(app) }));
}

/** Removes what an app has left on these hosts. Whether that was begun. */
export async function removeOld(app: App, hosts: string[]): Promise<boolean> {
  const full = nameOf(app);
  const old = removable(app, hosts);
  if (old.length === 0) return false;
  const names = [...new Set(old.map((one) => one.host_name))].join(", ");
  const question = {
    title: `Remove the old copy on ${names}?`,
    says: [`${full} does not use it where it lives now, and cannot go back to it then.`],
    lost: old.map(oldText),
    yes: "Remove",
    danger: true,
    typed: app.name,
  };
  if (!(await asks.confirm(question))) return false;
  return asks.act(`The old copy of ${full} on ${names} is being removed`, () =>
    post("/api/v1/apps/{environment}/{app}/move/confirm", { path: pathOf(app), body: { hosts } }),
  );
}

/** Lets an instance come back with older data than its app allows. Whether that was said. */
export async function acceptLoss(app: Named, loss: Loss): Promise<boolean> {
  const full = nameOf(app);
  const { group, slot, host_name: host, taken } = loss;
  const question = {
    title: `Start ${full} with older data?`,
    says: [
      `${group}.${slot} comes back on another host from its newest backup that can be used${taken ? `, of ${moment(taken)}` : ""}.`,
      `If ${host} returns before that is done, it goes on where its data is, and nothing is lost: wait when that is likely. What ${host} has when it returns later stays on its disk and is not run.`,
    ],
    lost: [lossText(loss, moment)],
    yes: "Start with older data",
    danger: true,
    typed: app.name,
  };
  if (!(await asks.confirm(question))) return false;
  return asks.act(`${full} comes back with older data`, () =>
    post("/api/v1/apps/{environment}/{app}/accept-loss", { path: pathOf(app), body: { group, slot } }),
  );
}
