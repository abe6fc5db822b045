import { m2mTokenClaims, WorkflowSettings, WorkflowTrigger } from "@kinde/infrastructure";

export const workflowSettings: WorkflowSettings = {
  id: "bindings",
  name: "Bindings",
  trigger: WorkflowTrigger.M2MTokenGeneration,
  bindings: { "kinde.m2mToken": {} },
};

export default async function (event: any) {
  const claims = m2mTokenClaims<{ applicationId: string; apiVersion: string; permissions: string[] }>();
  claims.applicationId = event.context.application.clientId;
  claims.apiVersion = "v2";
  claims.permissions = ["read:orders", "write:orders"];
}
