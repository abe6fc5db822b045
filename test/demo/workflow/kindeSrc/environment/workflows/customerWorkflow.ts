import { createKindeAPI, m2mTokenClaims, onM2MTokenGeneratedEvent, WorkflowSettings, WorkflowTrigger } from "@kinde/infrastructure";

export const workflowSettings: WorkflowSettings = {
  id: "customer",
  name: "The application's customer",
  trigger: WorkflowTrigger.M2MTokenGeneration,
  failurePolicy: { action: "stop" },
  bindings: { "kinde.m2mToken": {}, "kinde.env": {}, "kinde.fetch": {}, url: {} },
};

type Property = { key: string; value: string };

export default async function customer(event: onM2MTokenGeneratedEvent) {
  const api = await createKindeAPI(event);
  const { clientId } = event.context.application;

  const { data: application } = await api.get({ endpoint: `applications/${clientId}/properties` });
  const code = application.properties.find((property: Property) => property.key === "org_code")?.value;
  if (!code) throw new Error("the application has no property org_code");

  const { data: organization } = await api.get({ endpoint: `organization?code=${code}` });
  console.log("the customer is", organization.name);

  const claims = m2mTokenClaims<{ org_code: string; org_name: string }>();
  claims.org_code = organization.code;
  claims.org_name = organization.name;
}
