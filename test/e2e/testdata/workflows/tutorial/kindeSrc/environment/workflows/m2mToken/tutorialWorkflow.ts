// Finds the application's organization in the list of all.
import { createKindeAPI, m2mTokenClaims, WorkflowTrigger } from "@kinde/infrastructure";
import type { onM2MTokenGeneratedEvent, WorkflowSettings } from "@kinde/infrastructure";

export const workflowSettings: WorkflowSettings = {
  id: "organizationFromTheList",
  name: "Organization from the list",
  trigger: WorkflowTrigger.M2MTokenGeneration,
  bindings: { "kinde.m2mToken": {}, "kinde.fetch": {}, "kinde.env": {}, url: {} },
};

export default async function (event: onM2MTokenGeneratedEvent) {
  const api = await createKindeAPI(event);
  const id = event.context.application.clientId;

  const properties = await api.get({ endpoint: `applications/${id}/properties` });
  const code = properties.data.properties.find(({ key }) => key === "org_code")?.value;
  if (!code) throw new Error("the application has no org_code");

  const list = await api.get({ endpoint: "organizations", params: { page_size: "100" } });
  const organizations = list.data.organizations || list.data.data.organizations;
  const organization = organizations.find((o: { code: string }) => o.code === code);
  if (!organization) throw new Error("there is no such organization");

  const claims = m2mTokenClaims<Record<string, string>>();
  claims.applicationId = id;
  claims.orgName = organization.name;
  claims.orgCode = organization.code;
}
