// A workflow of another trigger in the same repository.
import { WorkflowSettings, WorkflowTrigger, onUserTokenGeneratedEvent } from "@kinde/infrastructure";

export const workflowSettings: WorkflowSettings = {
  id: "userTokens",
  name: "Users' tokens",
  trigger: WorkflowTrigger.UserTokenGeneration,
  bindings: { "kinde.accessToken": {} },
};

export default async function handleUserTokens(event: onUserTokenGeneratedEvent) {
  console.log("a user's token", event.request.ip);
}
