package enrich

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// TestHiddenToken: an answer without a token on top doesn't pass if a client may
// find one deeper.
func TestHiddenToken(t *testing.T) {
	const jwe = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.BBBB.CCCC"
	quoted := func(text string) string {
		q, err := json.Marshal(text)
		must(t, err)
		return string(q)
	}
	for name, tt := range map[string]struct {
		body string // SIGNED stands for the signed token
		want Outcome
	}{
		"in an object":                {`{"data":{"access_token":"SIGNED"}}`, HiddenToken},
		"opaque":                      {`{"data":{"access_token":"2YotnFZFEjr1zCsicMWpAA"}}`, HiddenToken},
		"in an array":                 {`[{"access_token":"opaque"}]`, HiddenToken},
		"an array of tokens":          {`["SIGNED"]`, HiddenToken},
		"a string":                    {`"SIGNED"`, HiddenToken},
		"beside a blank one":          {`{"access_token":null,"a":[[{"b":{"id_token":"opaque"}}]]}`, HiddenToken},
		"a refresh token":             {`{"data":{"refresh_token":"opaque"}}`, HiddenToken},
		"camel case on top":           {`{"accessToken":"opaque"}`, HiddenToken},
		"other separators":            {`{"data":{"ACCESS-TOKEN":"opaque"}}`, HiddenToken},
		"letters of other blocks":     {`{"data":{"acceſſ_toKen":"opaque"}}`, HiddenToken},
		"an object as token":          {`{"data":{"access_token":{"value":"opaque"}}}`, HiddenToken},
		"an array as token":           {`{"data":{"access_token":["opaque"]}}`, HiddenToken},
		"a JWT in another member":     {`{"jwt":"SIGNED"}`, HiddenToken},
		"a JWT as a name":             {`{"SIGNED":1}`, HiddenToken},
		"a JWT behind Bearer":         {`{"headers":["Authorization: Bearer SIGNED"]}`, HiddenToken},
		"a JWT in a URL":              {`{"location":"https://a.example/cb#state=x&token=SIGNED&y=z"}`, HiddenToken},
		"an encrypted JWT":            {`{"data":"` + jwe + `"}`, HiddenToken},
		"a padded header":             {`{"data":"eyJhbGciOiJub25lIn0=.e30."}`, HiddenToken},
		"JSON in a string":            {`{"body":` + quoted(`{"access_token":"opaque"}`) + `}`, HiddenToken},
		"JSON in a string twice":      {`{"body":` + quoted(` [`+quoted(`{"a":1,"a":2,"access_token":"opaque"}`)+`]`) + `}`, HiddenToken},
		"a JWT in broken JSON":        {`{"body":` + quoted(`{"x":{"SIGNED`) + `}`, HiddenToken},
		"escaped":                     {`{"data":{"access\u005ftoken":"opaque"}}`, HiddenToken},
		"on top it isn't hidden":      {`{"access_token":"SIGNED","data":{"access_token":"opaque"}}`, Enriched}, // without data
		"a blank member":              {`{"data":{"access_token":null,"id_token":""}}`, NotTokenResponse},
		"another name":                {`{"data":{"access_token_type":"bearer","token":"opaque","token_type":"bearer"}}`, NotTokenResponse},
		"a name with an end":          {`{"access_token_url":"https://a.example/oauth2/token"}`, NotTokenResponse},
		"keys":                        {`{"keys":[{"kty":"RSA","n":"AQAB.AQAB.AQAB","alg":"RS256"}]}`, NotTokenResponse},
		"dots":                        {`{"version":"1.2.3.4","host":"eyJ.example.com","e":"e30...","p":"..."}`, NotTokenResponse},
		"a header alone":              {`{"protected":"eyJhbGciOiJub25lIn0","payload":"e30"}`, NotTokenResponse},
		"text with brackets":          {`{"note":"{not json","list":"[1,2","quote":"\"a"}`, NotTokenResponse},
		"an empty array":              {`[]`, NotTokenResponse},
		"letter case on top, as ever": {`{"Access_Token":"opaque"}`, BadTokenResponse},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.body = []byte(strings.ReplaceAll(tt.body, "SIGNED", f.sign()))
			r := f.want(tt.want)
			if hidden := tt.want == HiddenToken; hidden && (!r.Token || strings.Contains(r.Cause.Error(), "opaque")) {
				t.Errorf("token %t, cause %v, want that no cache keeps it and no value", r.Token, r.Cause)
			}
		})
	}
}

// TestHiddenTokenOfAnotherGrant: tokens of other grants aren't enriched, wherever
// they are in the answer.
func TestHiddenTokenOfAnotherGrant(t *testing.T) {
	f := newFixture(t)
	f.exchange.Request.Body = []byte("grant_type=authorization_code&code=x")
	f.body = []byte(`{"authed_user":{"access_token":"opaque"}}`)
	if r := f.want(NotM2M); r.Action != Pass || !r.Token {
		t.Errorf("action %s, token %t, want pass and true", r.Action, r.Token)
	}
}

// TestHiddenTokenObserved: it passes in observe mode, and the log has it.
func TestHiddenTokenObserved(t *testing.T) {
	f := newFixture(t)
	f.set("", "mode", "observe")
	f.body = []byte(`{"data":{"access_token":"opaque"}}`)
	if r := f.want(HiddenToken); r.Action != Pass || !r.Failed() || !r.Token {
		t.Errorf("action %s, failed %t, token %t, want pass, true and true", r.Action, r.Failed(), r.Token)
	}
}

// TestHiddenTokenInManyStrings: escapes of escapes let strings within each other be
// nearly as long as the body. What isn't looked into doesn't pass.
func TestHiddenTokenInManyStrings(t *testing.T) {
	escapes := strings.NewReplacer(`"`, `\u0022`, `\`, `\u005c`)
	body := `["` + strings.Repeat(".", 100_000) + `"]`
	for range 100 {
		body = `["` + escapes.Replace(body) + `"]`
	}
	f := newFixture(t)
	f.body = []byte(body)
	f.want(HiddenToken)
	f.exchange.Request.Body = []byte("grant_type=authorization_code&code=x")
	f.want(NotM2M)
}

// TestHiddenTokenTakesBoundedWork: the largest answers of the worst forms are read
// in the time of a request.
func TestHiddenTokenTakesBoundedWork(t *testing.T) {
	nested := `{"a":1}`
	for {
		q, err := json.Marshal(`[` + nested + `]`)
		must(t, err)
		if len(q) > maxResponseSize-2 {
			break
		}
		nested = string(q)
	}
	header := "eyJhIjoxMjN9Cg." // has no alg
	fill := func(before, text, after string) string {
		return before + strings.Repeat(text, (maxResponseSize-len(before)-len(after))/len(text)) + after
	}
	for name, body := range map[string]string{
		"strings in strings": `[` + nested + `]`,
		"headers":            fill(`["`, header, `"]`),
		"one long part":      fill(`["`, "eyJ", `..."]`),
		"dots":               fill(`["`, ".", `"]`),
		"short strings":      fill(`["`, `{","`, `"]`),
		"brackets":           fill(`["`, "[", `"]`),
		"deep":               strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999),
	} {
		f := newFixture(t)
		f.body = []byte(body)
		allocated := testing.AllocsPerRun(1, func() {
			if r := f.run(context.Background()); r.Outcome != NotTokenResponse {
				t.Errorf("%s: outcome %s, want %s", name, r.Outcome, NotTokenResponse)
			}
		})
		if allocated > 8*maxResponseSize {
			t.Errorf("%s: %.0f allocations, want at most %d", name, allocated, 8*maxResponseSize)
		}
	}
}
