// Stands in for @kinde/infrastructure where that isn't installed: the same
// names, over the bindings of the runtime. A bundle has only what the workflow uses
// of it: what is made by a call is marked as pure. No call has a computed name, so
// that a workflow needs no bounds that it doesn't name.

export const version = "0.9.0"

export const WorkflowTrigger = {
  UserTokenGeneration: "user:tokens_generation",
  UserPreMFA: "user:pre_mfa",
  PostAuthentication: "user:post_authentication",
  M2MTokenGeneration: "m2m:token_generation",
  ExistingPasswordProvided: "user:existing_password_provided",
  NewPasswordProvided: "user:new_password_provided",
  PlanSelection: "user:plan_selection",
  PlanCancellationRequest: "user:plan_cancellation_request",
  UserPreRegistration: "user:pre_registration",
  NewUsernameProvided: "user:new_username_provided",
}
export const Scopes = { email: "email", profile: "profile", openid: "openid", offline_access: "offline" }
export const PromptTypes = { none: "none", create: "create", login: "login" }

const binding = (name) => {
  if (!kinde[name]) {
    throw new Error(`the binding kinde.${name} isn't declared: add "kinde.${name}": {} to the bindings in workflowSettings`)
  }
  return kinde[name]
}

// An assignment to the object sets a claim of the token.
const claimsOf = (token) => new Proxy(token.getCustomClaims(), {
  set(claims, name, value) {
    token.setCustomClaim(name, value)
    claims[name] = value
    return true
  },
})
export const m2mTokenClaims = () => claimsOf(binding("m2mToken"))
export const m2mTokenCustomClaims = m2mTokenClaims
export const m2mCustomClaims = m2mTokenClaims
export const idTokenCustomClaims = () => claimsOf(binding("idToken"))
export const accessTokenCustomClaims = () => claimsOf(binding("accessToken"))

export const getEnvironmentVariable = (name) => binding("env").get(name)
export const getLocalization = (key) => binding("localization").get(key)
export const denyAccess = (reason) => { binding("auth").denyAccess(reason) }
export const invalidateFormField = (field, message) => { binding("widget").invalidateFormField(field, message) }
export const setEnforcementPolicy = (policy) => { binding("mfa").setEnforcementPolicy(policy) }

const checkMessage = (message) => {
  if (typeof message !== "string" || message === "") {
    throw new Error("the message must be a text")
  }
}
export const denyPlanSelection = (message, detail) => {
  const plan = binding("plan")
  checkMessage(message)
  plan.denySelection(message, detail)
}
export const denyPlanCancellation = (message, detail) => {
  const plan = binding("plan")
  checkMessage(message)
  plan.denyCancellation(message, detail)
}

// fetch and secureFetch note the format in the caller's options, as Kinde's do.
const withFormat = (options) => {
  options.responseFormat = options.responseFormat || "json"
  return options
}
export const fetch = async (url, options) => {
  const send = binding("fetch")
  const answer = await send(url, withFormat(options))
  return { data: options.responseFormat === "json" ? answer?.json : answer.text }
}
export const secureFetch = async (url, options) => {
  const send = binding("secureFetch")
  const answer = await send(url, withFormat(options))
  return { data: answer?.json }
}

const requestToken = ({ domain, clientId, clientSecret, audience = [], scopes = [], headers }) => {
  const form = { audience: audience.join(" "), grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret, scope: scopes.join(" ") }
  let token
  try {
    token = binding("fetch")(`${domain}/oauth2/token`, {
      method: "POST",
      responseFormat: "json",
      headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json", ...headers },
      body: new URLSearchParams(form),
    }).json?.access_token
  } catch (error) {
    throw new Error(`getM2MToken: ${error.message}`)
  }
  if (!token) {
    throw new Error("getM2MToken: the answer has no access_token")
  }
  return token
}
// The bindings return values, not promises. Awaiting them would only take time.
const tokenOf = (name, options) => {
  const { domain, clientId, clientSecret, skipCache } = options
  const request = () => {
    if (!domain || !clientId || !clientSecret) {
      throw new Error("getM2MToken: domain, clientId and clientSecret are required")
    }
    return requestToken(options)
  }
  if (skipCache) {
    return request()
  }
  const validation = { key: { type: "jwks", jwks: { url: `${domain}/.well-known/jwks.json` } } }
  return kinde.cache.jwtToken(name, { validation, onMissingOrExpired: request })
}
export const getM2MToken = async (name, options) => tokenOf(name, options)

const credentials = ({ clientId, clientSecret, clientIdKey, clientSecretKey }) => {
  if (clientId && clientSecret) {
    return { clientId, clientSecret }
  }
  const named = clientIdKey && clientSecretKey
  const [id, secret] = named ? [clientIdKey, clientSecretKey] : ["KINDE_WF_M2M_CLIENT_ID", "KINDE_WF_M2M_CLIENT_SECRET"]
  const found = { clientId: getEnvironmentVariable(id)?.value, clientSecret: getEnvironmentVariable(secret)?.value }
  if (!named && !found.clientId) {
    throw new Error(`createKindeAPI: ${id} isn't set`)
  }
  if (!named && !found.clientSecret) {
    throw new Error(`createKindeAPI: ${secret} isn't set`)
  }
  return found
}
export const createKindeAPI = async (event, options = {}) => {
  const domain = event.context.domains.kindeDomain
  const token = tokenOf("internal_m2m_access_token", {
    domain, ...credentials(options), audience: [`${domain}/api`], skipCache: options.skipCache ?? false,
  })
  const authorization = `Bearer ${String(token).replaceAll('"', "")}`
  const call = (method) => async ({ endpoint, params, contentType = "application/json" }) => {
    const body = params && method === "GET" ? new URLSearchParams(params).toString() : params
    const answer = kinde.fetch(`${domain}/api/v1/${endpoint}`, {
      method, responseFormat: "json", headers: { authorization, "Content-Type": contentType, accept: "application/json" }, body: body ?? undefined,
    })
    return { data: answer.json }
  }
  return { get: call("GET"), post: call("POST"), patch: call("PATCH"), put: call("PUT"), delete: call("DELETE") }
}

// What pages place in their HTML means nothing in a workflow.
const placeholder = (name) => () => {
  throw new Error(`${name} is for pages, and a workflow has none`)
}
export const getKindeWidget = /* @__PURE__ */ placeholder("getKindeWidget")
export const getKindeNonce = /* @__PURE__ */ placeholder("getKindeNonce")
export const getKindeRequiredCSS = /* @__PURE__ */ placeholder("getKindeRequiredCSS")
export const getKindeRequiredJS = /* @__PURE__ */ placeholder("getKindeRequiredJS")
export const getKindeCSRF = /* @__PURE__ */ placeholder("getKindeCSRF")
export const getKindeRegisterUrl = /* @__PURE__ */ placeholder("getKindeRegisterUrl")
export const getKindeSignUpUrl = /* @__PURE__ */ placeholder("getKindeSignUpUrl")
export const getKindeLoginUrl = /* @__PURE__ */ placeholder("getKindeLoginUrl")
export const getKindeSignInUrl = /* @__PURE__ */ placeholder("getKindeSignInUrl")
export const getKindeThemeCode = /* @__PURE__ */ placeholder("getKindeThemeCode")
export const getLogoUrl = /* @__PURE__ */ placeholder("getLogoUrl")
export const getDarkModeLogoUrl = /* @__PURE__ */ placeholder("getDarkModeLogoUrl")
export const getSVGFaviconUrl = /* @__PURE__ */ placeholder("getSVGFaviconUrl")
export const getFallbackFaviconUrl = /* @__PURE__ */ placeholder("getFallbackFaviconUrl")
export const setKindeDesignerCustomProperties = /* @__PURE__ */ placeholder("setKindeDesignerCustomProperties")
