// A bundle of the shape that esbuild makes of a workflow and a client library.
var __defProp = Object.defineProperty;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from) => {
  for (let key of __getOwnPropNames(from))
    if (!__hasOwnProp.call(to, key))
      __defProp(to, key, { get: () => from[key], enumerable: true });
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);
var tokens_exports = {};
__export(tokens_exports, { default: () => tokens_default, workflowSettings: () => workflowSettings });
module.exports = __toCommonJS(tokens_exports);

// the library's part
var Trigger = ((t) => { t.M2M = "m2m:token_generation"; t.User = "user:tokens_generation"; return t; })(Trigger || {});
var tokenProxy = {
  get(target, key, receiver) { return Reflect.get(target, key.toString(), receiver); },
  set(target, key, value) { kinde.m2mToken.setCustomClaim(key, value); return Reflect.set(target, key, value); }
};
function claims() {
  if (!kinde.m2mToken) throw new Error("no binding kinde.m2mToken");
  return new Proxy(kinde.m2mToken.getCustomClaims(), tokenProxy);
}
function variable(name) {
  if (!kinde.env) throw new Error("no binding kinde.env");
  return kinde.env.get(name);
}
async function getToken(name, options) {
  const ask = () => {
    const answer = kinde.fetch(`${options.domain}/oauth2/token`, {
      method: "POST",
      responseFormat: "json",
      headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json", ...options.headers },
      body: new URLSearchParams({
        audience: options.audience?.join(" ") ?? "",
        grant_type: "client_credentials",
        client_id: options.clientId,
        client_secret: options.clientSecret,
        scope: options.scopes?.join(" ") ?? ""
      })
    });
    if (!answer.json?.access_token) throw new Error("no token");
    return answer.json.access_token;
  };
  return await kinde.cache.jwtToken(name, { validation: { key: { type: "jwks", jwks: { url: `${options.domain}/.well-known/jwks.json` } } }, onMissingOrExpired: ask });
}
async function createClient(event) {
  const clientId = variable("KINDE_WF_M2M_CLIENT_ID")?.value, clientSecret = variable("KINDE_WF_M2M_CLIENT_SECRET")?.value;
  if (!clientId || !clientSecret) throw new Error("no client");
  const domain = event.context.domains.kindeDomain;
  let token = await getToken("api_token", { domain, clientId, clientSecret, audience: [`${domain}/api`] });
  token = token.replace(/"/g, "");
  const request = async ({ method, endpoint, params, contentType = "application/json" }) => {
    const body = params && (method === "GET" ? new URLSearchParams(params).toString() : params);
    const answer = await kinde.fetch(`${domain}/api/v1/${endpoint}`, {
      method,
      responseFormat: "json",
      headers: { authorization: `Bearer ${token}`, "Content-Type": contentType, accept: "application/json" },
      body: body ?? void 0
    });
    return { data: answer.json };
  };
  return {
    get: async (options) => await request({ method: "GET", ...options }),
    post: async (options) => await request({ method: "POST", ...options })
  };
}

// the workflow's part
var workflowSettings = {
  id: "tokens", name: "Organization in tokens", trigger: Trigger.M2M, failurePolicy: { action: "stop" },
  bindings: { "kinde.m2mToken": {}, "kinde.fetch": {}, "kinde.env": {}, url: {} }
};
async function tokens_default(event) {
  const clientId = event.context.application.clientId;
  const client = await createClient(event);
  const { data: properties } = await client.get({ endpoint: `applications/${clientId}/properties` });
  const code = properties.appProperties.find((p) => p.key === "org_code").value;
  const { data: organization } = await client.get({ endpoint: `organization?code=${code}` });
  const token = claims();
  token.applicationId = clientId;
  token.orgName = organization.name;
  token.orgCode = organization.code;
}
