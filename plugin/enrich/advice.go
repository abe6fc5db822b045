package enrich

// advice is what an operator can do about an outcome, in the words of
// docs/outcomes.md.
var advice = map[Outcome]string{
	BadRequest:            "ask as RFC 6749 says",
	UpstreamError:         "read the provider's error",
	BadTokenResponse:      "look at what the provider answers on this route",
	NotTokenResponse:      "give the plugin a route of its own",
	AmbiguousRequest:      "send one `grant_type` in a form or JSON body",
	NotM2M:                "nothing: other grants aren't enriched",
	OpaqueToken:           "let the provider issue JWTs (often by asking for an audience)",
	KeysUnavailable:       "look at the cause in the log: DNS, TLS, proxy, discovery",
	UntrustedToken:        "compare `issuer`, `algorithms` and `client_id_claim` with the provider's token",
	ClientMismatch:        "look for a cache between Kong and the provider",
	ManagementAudience:    "nothing",
	MixedAudience:         "ask for one audience at a time",
	UnknownApplication:    "write the record; compare `prefix`",
	UnknownOrganization:   "write the record",
	UnknownUser:           "write the record",
	InvalidRecord:         "mend the record that the log names",
	SuspendedOrganization: "nothing, or set it to false",
	MissingProperty:       "write the property, or give the claim a default",
	ClaimConflict:         "find out which of the two is wrong",
	LookupUnavailable:     "look at the cause in the log",
	TokenTooLarge:         "add fewer or shorter claims; `ec` keys sign shorter",
	InternalError:         "look at the cause in the log",
	Enriched:              "nothing",
}

// Advice returns what an operator can do about o.
func (o Outcome) Advice() string { return advice[o] }
