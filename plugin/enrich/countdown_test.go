package enrich

import (
	"context"
	"strings"
	"testing"
	"time"

	"m2m-token-enricher/plugin/splice"
)

// TestCountdowns: what an answer says of times left when it is given again.
func TestCountdowns(t *testing.T) {
	const age = 100
	for _, tt := range []struct{ name, members, want string }{ // beside access_token, whose life is 86399 s
		{"number", `"expires_in":86399`, `"expires_in":86299`},
		{"string", `"expires_in":"3600"`, `"expires_in":"3500"`},
		{"absent", `"scope":"read"`, `"scope":"read"`},
		{"larger than the token's life", `"expires_in":999999`, `"expires_in":86299`},
		{"far larger", `"expires_in":1e300`, `"expires_in":86299`},
		{"too large to read", `"expires_in":1e999`, `"expires_in":86299`},
		{"string that is larger", `"expires_in":"999999"`, `"expires_in":"86299"`},
		{"fraction", `"expires_in":3599.99`, `"expires_in":3499`},
		{"exponent", `"expires_in":36e2`, `"expires_in":3500`},
		{"string with a fraction", `"expires_in":"3599.5"`, `"expires_in":"3499"`},
		{"string with white space", `"expires_in":" 3600\n"`, `"expires_in":"3500"`},
		{"escaped name", `"expires\u005fin":3600`, `"expires\u005fin":3500`},
		{"escaped digits", `"expires_in":"\u0033600"`, `"expires_in":"3500"`},
		{"white space around it", `"expires_in" : 3600 , "scope":"read"`, `"expires_in" : 3500 , "scope":"read"`},
		{"ext_expires_in", `"expires_in":3600,"ext_expires_in":7200`, `"expires_in":3500,"ext_expires_in":7100`},
		{"ext_expires_in may outlive the token", `"ext_expires_in":999999`, `"ext_expires_in":999899`},
		{"ext_expires_in that has ended", `"ext_expires_in":"60"`, `"ext_expires_in":"0"`},
		{"zero stays, as Keycloak's", `"expires_in":300,"refresh_expires_in":0`, `"expires_in":200,"refresh_expires_in":0`},
		{"no number stays", `"a_expires_in":"soon","b_expires_in":-1,"c_expires_in":null,"d_expires_in":[600],"e_expires_in":true`,
			`"a_expires_in":"soon","b_expires_in":-1,"c_expires_in":null,"d_expires_in":[600],"e_expires_in":true`},
		{"another spelling, of which the shorter counts", `"expiresIn":3600,"Expires-In":999999`, `"expiresIn":3500,"Expires-In":3500`},
		{"other names stay", `"expires":3600,"expires_in_ms":3600000,"in":600,"expires_on":"1800086399"`, `"expires":3600,"expires_in_ms":3600000,"in":600,"expires_on":"1800086399"`},
		{"below the top stays", `"a":{"expires_in":600}`, `"a":{"expires_in":600}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			answer := func(members, token string) string {
				return `{"access_token":"` + token + `","token_type":"bearer",` + members + `}`
			}
			f.body = []byte(answer(tt.members, f.sign()))
			e, h := f.held()
			first := string(h.Body)
			r, err := e.Again(context.Background(), h, "", testNow.Add(age*time.Second))
			must(t, err)
			token, _ := bodyText(t, h.Body, "access_token")
			if got, want := string(r.Body), answer(tt.want, token); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if string(h.Body) != first {
				t.Error("the first answer was modified")
			}
		})
	}
}

func bodyText(t *testing.T, body []byte, name string) (string, bool) {
	t.Helper()
	o, err := splice.Parse(body)
	must(t, err)
	return o.Text(name)
}

// TestExpires: an answer lives as long as its token or its expires_in, whichever ends
// first.
func TestExpires(t *testing.T) {
	for name, tt := range map[string]struct {
		exp, expiresIn, maxTTL int
		want                   time.Duration
	}{
		"the same":                   {3600, 3600, 0, 3600},
		"expires_in ends first":      {86400, 600, 0, 600},
		"the token ends first":       {600, 86400, 0, 600},
		"max_ttl ends first":         {86400, 86400, 900, 900},
		"max_ttl ends last":          {600, 600, 900, 600},
		"expires_in below max_ttl":   {86400, 300, 900, 300},
		"exp without expires_in":     {86400, 0, 0, 86400},
		"max_ttl without expires_in": {86400, 0, 900, 900},
	} {
		f := newFixture(t)
		f.claims["exp"], f.response["expires_in"] = testNow.Unix()+int64(tt.exp), tt.expiresIn
		if tt.expiresIn == 0 {
			delete(f.response, "expires_in")
		}
		if tt.maxTTL > 0 {
			f.set("signing", "max_ttl", tt.maxTTL)
		}
		_, h := f.held()
		if got := h.Expires.Sub(h.Signed); got != tt.want*time.Second {
			t.Errorf("%s: the answer lives for %v, want %v", name, got, tt.want*time.Second)
		}
	}
}

// TestLeftRoundsDown: an answer never says more than is left, and a clock that was set
// back adds nothing.
func TestLeftRoundsDown(t *testing.T) {
	f := newFixture(t)
	f.response["ext_expires_in"] = 86399
	e, h := f.held()
	for age, want := range map[time.Duration]string{
		-time.Hour: "86399", 0: "86399", time.Millisecond: "86398", time.Second: "86398", 1001 * time.Millisecond: "86397", 86398 * time.Second: "1",
	} {
		r, err := e.Again(context.Background(), h, "", testNow.Add(age))
		must(t, err)
		if strings.Count(string(r.Body), `expires_in":`+want+`,`) != 2 {
			t.Errorf("after %v: got %s, want expires_in and ext_expires_in %s", age, r.Body, want)
		}
	}
	for _, age := range []time.Duration{86398*time.Second + 1, 86399 * time.Second, 1 << 62} {
		if r, err := e.Again(context.Background(), h, "", testNow.Add(age)); err == nil || r.Body != nil {
			t.Errorf("after %v: got an answer, want none", age)
		}
	}
}

// TestCountdownsWithShorterLife: how long the answer may be given again is what the
// answer says that the client got, also where the gateway lowered its expires_in.
func TestCountdownsWithShorterLife(t *testing.T) {
	const age = 100
	for members, want := range map[string]string{
		`"expires_in":86399`:                 `"expires_in":3500`,
		`"expires_in":"86399"`:               `"expires_in":"3500"`,
		`"expires_in":600`:                   `"expires_in":500`,
		`"expires_in":"soon"`:                `"expires_in":"3500"`,
		`"expires_in":-1`:                    `"expires_in":-1`,
		`"expiresIn":600`:                    `"expiresIn":500`,
		`"expires_in":86399,"expiresIn":600`: `"expires_in":500,"expiresIn":500`,
		`"scope":"read"`:                     `"scope":"read"`,
	} {
		f := newFixture(t)
		f.set("signing", "max_ttl", 3600)
		f.set("reuse", "enabled", true)
		f.body = []byte(`{"access_token":"` + f.sign() + `","token_type":"bearer",` + members + `}`)
		e := f.enricher()
		h, err := e.Enrich(context.Background(), f.complete()).Held()
		if strings.Contains(members, "-1") {
			if err == nil {
				t.Errorf("%s: the answer is held, want an error", members)
			}
			continue
		}
		must(t, err)
		var restored Held // reads the answer itself
		form, err := h.MarshalJSON()
		must(t, err)
		must(t, restored.UnmarshalJSON(form))
		if !h.Expires.Equal(restored.Expires) {
			t.Errorf("%s: expires at %v, want %v", members, h.Expires, restored.Expires)
		}
		r, err := e.Again(context.Background(), h, "", testNow.Add(age*time.Second))
		must(t, err)
		if !strings.HasSuffix(string(r.Body), want+"}") {
			t.Errorf("%s: got %s, want the end %s", members, r.Body, want)
		}
	}
}

// TestCountdownsAtOnce: several requests may be the first to repeat one.
func TestCountdownsAtOnce(t *testing.T) {
	e, h := newFixture(t).held()
	at := testNow.Add(time.Minute)
	bodies := make(chan string, 8)
	for range cap(bodies) {
		go func() {
			r, err := e.Again(context.Background(), h, "", at)
			if err != nil {
				r.Body = []byte(err.Error())
			}
			bodies <- string(r.Body)
		}()
	}
	want := <-bodies
	for range cap(bodies) - 1 {
		if got := <-bodies; got != want || !strings.Contains(got, "86339") {
			t.Errorf("got %s, want %s with 86339", got, want)
		}
	}
}
