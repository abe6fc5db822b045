package schema

import "strings"

// Reuse is about answers that are given again. Times are in seconds.
type Reuse struct {
	Enabled         bool     `json:"enabled" default:"false" description:"Reuse enriched answers for requests that are repeated byte for byte."`
	MaxAge          int      `json:"max_age" default:"300" between:"1,86400" description:"Seconds for which an answer may be reused. They start when the provider is asked."`
	ShareOfLife     float64  `json:"share_of_life" default:"0.75" between:"0,1" description:"Share of the token's life during which its answer may be reused."`
	MinRemaining    int      `json:"min_remaining" default:"60" between:"0,86400" description:"A reused token must live for longer than this many seconds."`
	MaxEntries      int      `json:"max_entries" default:"10000" between:"1,10000000" description:"Largest number of answers in memory."`
	MaxBytes        int      `json:"max_bytes" default:"33554432" between:"65536,1099511627776" description:"Memory for the answers, in bytes."`
	Coalesce        bool     `json:"coalesce" default:"true" description:"Let identical requests that come at the same time wait for the answer to the first one."`
	Shared          bool     `json:"shared" default:"false" description:"Share answers with other gateways through Redis, encrypted. Needs reuse.secret."`
	Secret          Secret   `json:"secret" len_min:"0" description:"Secret of at least 16 bytes, the same on all gateways that share answers. Needed with reuse.shared."`
	IfProviderFails bool     `json:"if_provider_fails" default:"false" description:"While the provider fails, reuse an answer of any age until its token lives for only min_remaining seconds."`
	VaryHeaders     []string `json:"vary_headers" len_max:"16" description:"More request headers on which the provider's answer depends. Unset: none."`
	BypassHeaders   []string `json:"bypass_headers" default:"dpop,client-cert,x-forwarded-client-cert" len_max:"16" description:"A request with one of these headers always goes to the provider, such as one with a client certificate."`
}

// derive writes the names of headers in lower case.
func (r *Reuse) derive() {
	for _, names := range [][]string{r.VaryHeaders, r.BypassHeaders} {
		for i := range names {
			names[i] = strings.ToLower(names[i])
		}
	}
}
