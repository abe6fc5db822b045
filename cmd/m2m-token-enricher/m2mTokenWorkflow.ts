// Adds the code and the name of the application's organization to its M2M tokens.
// This file runs in the gateway, and at Kinde.
//
// Check it: m2m-token-enricher workflow check .
// Run it:   m2m-token-enricher workflow run . -c kong.yml --client CLIENT_ID
import { createKindeAPI, m2mTokenClaims, onM2MTokenGeneratedEvent, WorkflowSettings, WorkflowTrigger } from "@kinde/infrastructure";

export const workflowSettings: WorkflowSettings = {
  id: "addOrganization",
  name: "Add the organization",
  trigger: WorkflowTrigger.M2MTokenGeneration,
  // If the workflow fails, the client gets no token. With "continue" it gets one without the claims.
  failurePolicy: { action: "stop" },
  // What the workflow uses: kinde.m2mToken sets claims, and createKindeAPI needs the others.
  bindings: { "kinde.m2mToken": {}, "kinde.env": {}, "kinde.fetch": {}, url: {} },
};

export default async function Workflow(event: onM2MTokenGeneratedEvent) {
  // The gateway answers these requests from its records, without the network. Kinde asks its management API.
  const kindeAPI = await createKindeAPI(event);
  const clientId = event.context.application.clientId;

  const { data: application } = await kindeAPI.get({ endpoint: `applications/${clientId}/properties` });
  const orgCode = application.properties.find((p: { key: string }) => p.key === "org_code")?.value;
  if (!orgCode) throw new Error("the application has no property org_code");
  const { data: organization } = await kindeAPI.get({ endpoint: `organization?code=${orgCode}` });

  // Each assignment adds a claim to the token.
  const claims = m2mTokenClaims<{ org_code: string; org_name: string }>();
  claims.org_code = organization.code;
  claims.org_name = organization.name;
}
