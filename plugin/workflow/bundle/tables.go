package bundle

import "strings"

// The bindings of this trigger, and those of others. kinde.cache is there without
// a declaration.
var (
	bindingNames  = strings.Fields("m2mToken fetch env secureFetch cache")
	otherTriggers = strings.Fields("idToken accessToken auth mfa widget localization ssoSession plan")
)

// needs are the bindings that the library's functions use.
var needs = map[string][]string{
	"m2mTokenClaims": {"m2mToken"}, "m2mTokenCustomClaims": {"m2mToken"}, "m2mCustomClaims": {"m2mToken"},
	"createKindeAPI": {"fetch", "env"}, "getM2MToken": {"fetch"}, "fetch": {"fetch"}, "secureFetch": {"secureFetch"},
	"getEnvironmentVariable": {"env"},
	"idTokenCustomClaims":    {"idToken"}, "accessTokenCustomClaims": {"accessToken"}, "denyAccess": {"auth"}, "setEnforcementPolicy": {"mfa"},
	"invalidateFormField": {"widget"}, "getLocalization": {"localization"}, "denyPlanSelection": {"plan"}, "denyPlanCancellation": {"plan"},
}

// eventMembers are what the event of this trigger has, by path.
var eventMembers = map[string][]string{
	"event":                     {"request", "context"},
	"event.request":             {"auth", "ip"},
	"event.request.auth":        {"audience", "scope"},
	"event.context":             {"domains", "application", "workflow"},
	"event.context.domains":     {"kindeDomain"},
	"event.context.application": {"clientId"},
	"event.context.workflow":    {"trigger"},
}

// objectMembers are what every object has.
var objectMembers = strings.Fields("constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf")

const noFunction = "new Function doesn't exist in a workflow, because it would run text as code"

// insteadOfGlobal is what to do without a global variable of Node or of browsers.
var insteadOfGlobal = map[string]string{
	"eval":           "a workflow can't run text as code",
	"setTimeout":     "a workflow can't wait",
	"setInterval":    "a workflow can't wait",
	"setImmediate":   "a workflow can't wait",
	"queueMicrotask": "use Promise.resolve().then(…)",
	"process":        "use getEnvironmentVariable of " + Library,
	"require":        "name the file or the package as a plain text, so that it can be bundled",
	"fetch":          "use fetch of " + Library,
	"XMLHttpRequest": "use fetch of " + Library,
	"global":         "use globalThis",
	"window":         "use globalThis",
	"self":           "use globalThis",
	"Buffer":         "a workflow has none of Node's globals",

	"structuredClone": "use JSON.parse(JSON.stringify(value))",
	"crypto":          "the runtime has no random bytes and no hashes",
	"Intl":            "the runtime has no data on languages; format values where the claim is read",
	"atob":            "the runtime has none of a browser's globals",
	"btoa":            "the runtime has none of a browser's globals",
	"TextEncoder":     "the runtime has none of a browser's globals",
	"TextDecoder":     "the runtime has none of a browser's globals",
	"Headers":         "give fetch of " + Library + " a plain object",
	"Request":         "use fetch of " + Library,
}
