// Finds the application's organization by its property org_code.
import {
  createKindeAPI,
  m2mTokenClaims,
  WorkflowSettings,
  WorkflowTrigger,
  onM2MTokenGeneratedEvent,
} from "@kinde/infrastructure";

type Property = { key: string; value: string };

export const workflowSettings: WorkflowSettings = {
  id: "organizationOfM2MToken",
  name: "Organization of an M2M token",
  trigger: WorkflowTrigger.M2MTokenGeneration,
  failurePolicy: { action: "stop" },
  bindings: {
    "kinde.m2mToken": {},
    "kinde.fetch": {},
    "kinde.env": {},
    url: {},
  },
};

export default async function addOrganization(event: onM2MTokenGeneratedEvent) {
  const { clientId } = event.context.application;
  const api = await createKindeAPI(event);

  const { data: application } = await api.get({
    endpoint: `applications/${clientId}/properties`,
  });
  const code = application.appProperties.find((p: Property) => p.key === "org_code").value;

  const { data: organization } = await api.get({
    endpoint: `organization?code=${code}`,
  });

  const claims = m2mTokenClaims<{ applicationId: string; orgName: string; orgCode: string }>();
  claims.applicationId = clientId;
  claims.orgName = organization.name;
  claims.orgCode = organization.code;
}
