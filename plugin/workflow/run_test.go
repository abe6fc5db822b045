//go:build !noworkflow

package workflow

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// TestEvent: a workflow gets Kinde's event, and nothing else.
func TestEvent(t *testing.T) {
	got := claimsOf(t, `kinde.m2mToken.setCustomClaim("event", event)`)
	want := `{"event":{"request":{"auth":{"audience":["https://api.example.com"],"scope":["read","write"]},"ip":"203.0.113.7"},` +
		`"context":{"domains":{"kindeDomain":"https://example.kinde.com"},"application":{"clientId":"app_1"},"workflow":{"trigger":"m2m:token_generation"}}}}`
	if got != want {
		t.Errorf("got the event %s, want %s", got, want)
	}
}

// TestHandlers: each way to export a function works.
func TestHandlers(t *testing.T) {
	const set = `kinde.m2mToken.setCustomClaim("ip", event.request.ip)`
	for name, bundle := range map[string]string{
		"async":            `module.exports.default = async (event) => {` + set + `}`,
		"after an await":   `module.exports.default = async (event) => { await null; await new Promise(done => done()); ` + set + `}`,
		"not async":        `exports.default = function (event) {` + set + `}`,
		"handle":           `module.exports = {default: {x: 1, async handle(event) { if (this.x) ` + set + `}}}`,
		"module.exports":   `module.exports = function (event) {` + set + `}`,
		"a promise itself": `module.exports.default = (event) => Promise.resolve().then(() => {` + set + `})`,
	} {
		if got, _, err := run(t, opened(t, bundle)); err != nil || got != `{"ip":"203.0.113.7"}` {
			t.Errorf("%s: got %s, %v, want the claim", name, got, err)
		}
	}
}

// TestFailures: each failure says where and why.
func TestFailures(t *testing.T) {
	for body, want := range map[string]string{
		`throw new Error("no plan")`:                            "workflow.js:2:7: no plan",
		`null.x`:                                                "workflow.js:2:6: TypeError: Cannot read property 'x' of undefined",
		`await 0; throw new TypeError("later")`:                 "workflow.js:2:16: TypeError: later",
		`throw "text"`:                                          "workflow.js: it threw text",
		`throw {code: 7}`:                                       `workflow.js: it threw {"code":7}`,
		`return Promise.reject(new Error("no"))`:                "workflow.js:2:23: no",
		`kinde.m2mToken.setCustomClaim("sub", "x")`:             "workflow.js:2:30: setCustomClaim: the claim sub is reserved",
		`kinde.m2mToken.setCustomClaim("x", {y: [1, NaN]})`:     `workflow.js:2:30: setCustomClaim: the claim "x": the value .y[1] is NaN`,
		`throw {toString() { throw 1 }, get x() { throw 2 }}`:   "workflow.js: it threw a value that can't be shown",
		`throw {get toString() { while (true) ; }, x: () => 1}`: "workflow.js: it threw a value that can't be shown",
		`kinde.nothing.get("x")`:                                "workflow.js:2:7: TypeError: Cannot read property 'get' of undefined or null",
		`undefinedFunction()`:                                   "workflow.js:2:18: ReferenceError: undefinedFunction is not defined",
	} {
		if got := failureOf(t, body); got != want {
			t.Errorf("%s: got the error %q, want %q", body, got, want)
		}
	}
}

// TestPromiseThatNeverSettles: it is known at once.
func TestPromiseThatNeverSettles(t *testing.T) {
	start := time.Now()
	got := failureOf(t, `await new Promise(() => {})`)
	if want := "its promise never settles"; !strings.Contains(got, want) || time.Since(start) > 5*time.Second {
		t.Errorf("got the error %q after %v, want one with %q at once", got, time.Since(start), want)
	}
}

// TestNothingStays: nothing of one event is there in the next one.
func TestNothingStays(t *testing.T) {
	w := opened(t, `
		var seen = 0;
		module.exports.default = async () => {
			seen++;
			globalThis.count = (globalThis.count || 0) + 1;
			Object.prototype.tainted = (({}).tainted || 0) + 1;
			Array.prototype.join = () => "mine";
			module.exports.mark = (module.exports.mark || 0) + 1;
			kinde.mark = (kinde.mark || 0) + 1;
			kinde.m2mToken.setCustomClaim("seen", [seen, count, ({}).tainted, module.exports.mark, kinde.mark]);
		}`)
	for range 3 {
		if got, _, err := run(t, w); err != nil || got != `{"seen":[1,1,1,1,1]}` {
			t.Errorf("got %s, %v, want every count to be 1", got, err)
		}
	}
}

// TestEnd: a workflow ends with its event's context.
func TestEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, _, err := opened(t, handler(`while (true) ;`)).Run(ctx, event, nil, records)
	if err == nil || !strings.Contains(err.Error(), "workflow.js:1:") || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %v, want the place and the deadline", err)
	}
}

// TestNoSlot: an event that gets no turn before its deadline says so.
func TestNoSlot(t *testing.T) {
	for range cap(slots) {
		slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, _, err := opened(t, handler("")).Run(ctx, event, nil, records)
	for range cap(slots) {
		<-slots
	}
	if err == nil || !strings.Contains(err.Error(), "other workflows computed until the deadline") {
		t.Errorf("got %v, want that others computed", err)
	}
}

// TestWaiting: a script that waits for a lookup lets others compute, and one that
// waits too long ends.
func TestWaiting(t *testing.T) {
	w := opened(t, handler(`
		const answer = kinde.fetch(event.context.domains.kindeDomain + "/api/v1/applications/app_1/properties");
		kinde.m2mToken.setCustomClaim("n", answer.json.properties.length)`))
	arrived, release := make(chan bool), make(chan bool)
	var all sync.WaitGroup
	for range 3 * cap(slots) {
		all.Go(func() {
			set, _, err := w.Run(t.Context(), event, nil, func(kind schema.Kind) (string, schema.Record, error) {
				arrived <- true
				<-release
				return records(kind)
			})
			if err != nil || written(set) != `{"n":2}` {
				t.Errorf("got %s, %v, want the claim", written(set), err)
			}
		})
	}
	for range 3 * cap(slots) {
		<-arrived // all wait, though there are fewer slots
	}
	close(release)
	all.Wait()
}

// TestGivenClaims: a workflow sees what the configuration maps, and can't change it.
func TestGivenClaims(t *testing.T) {
	given := []splice.Member{{Name: "plan", Value: []byte(`"gold"`)}, {Name: "limit", Value: []byte(`1.0`)}, {Name: "__proto__", Value: []byte(`{"a":1}`)}}
	w := opened(t, handler(`
		const claims = kinde.m2mToken.getCustomClaims();
		kinde.m2mToken.setCustomClaim("seen", JSON.stringify(claims));
		kinde.m2mToken.setCustomClaim("plan", claims.plan);
		kinde.m2mToken.setCustomClaim("limit", claims.limit);
		claims.plan = "platinum";
		const failed = [];
		for (const name of ["plan", "Plan", "SEEN"]) {
			try { kinde.m2mToken.setCustomClaim(name, "other") } catch (e) { failed.push(name) }
		}
		kinde.m2mToken.setCustomClaim("failed", failed);
		kinde.m2mToken.setCustomClaim("again", kinde.m2mToken.getCustomClaims().plan + kinde.m2mToken.getCustomClaims().failed.length);`))
	got, _, err := run(t, w, given...)
	want := `{"seen":"{\"plan\":\"gold\",\"limit\":1,\"__proto__\":{\"a\":1}}","failed":["plan","Plan","SEEN"],"again":"gold3"}`
	if err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// TestConsole: what a workflow prints is returned, within bounds and without secrets.
func TestConsole(t *testing.T) {
	w := opened(t, handler(`
		console.log("a", 1, {b: [true]}, new Error("e"), undefined, null, x => x);
		console.warn("w"); console.info("i"); console.debug("d"); console.error("e");
		console.log("key " + kinde.env.get("KEY").value, {v: kinde.env.get("KEY").value}, encodeURIComponent(kinde.env.get("KEY").value));
		console.log("x".repeat(5000));
		console.log("y".repeat(1 << 20));
		for (let i = 0; i < 1000; i++) console.log(i);
		throw new Error("failed with " + kinde.env.get("KEY").value)`))
	w.env = map[string]string{"KEY": `a"secret value`}
	w.veil = newVeil(w.env)
	_, printed, err := run(t, w)
	lines := strings.Split(printed, "\n")
	want := []string{`a 1 {"b":[true]} Error: e undefined null x => x`, "warn: w", "i", "debug: d", "error: e", `key [secret] {"v":"[secret]"} [secret]`}
	if len(lines) != 50 || strings.Join(lines[:6], "\n") != strings.Join(want, "\n") {
		t.Errorf("got %d lines:\n%.2000s\nwant 50 that begin with\n%s", len(lines), printed, strings.Join(want, "\n"))
	}
	if got := lines[6]; len(got) > 1000 || !strings.HasSuffix(got, "…") {
		t.Errorf("got a line of %d bytes, want it cut", len(got))
	}
	if err == nil || !strings.HasSuffix(err.Error(), "failed with [secret]") {
		t.Errorf("got the error %v, want it without the secret", err)
	}
	if strings.Contains(printed, "secret value") {
		t.Errorf("the secret is printed: %.2000s", printed)
	}
}

// TestInstancesOfBoundedConstructors: what has a bound is a constructor as any other.
func TestInstancesOfBoundedConstructors(t *testing.T) {
	for _, test := range []string{
		`/x/ instanceof RegExp`, `new RegExp("x") instanceof RegExp`, `!("x" instanceof RegExp)`, `RegExp.prototype.constructor === RegExp`,
		`new Uint8Array(1) instanceof Uint8Array`, `new Uint8Array([1, 2]).map(x => x + 1) instanceof Uint8Array`,
		`!(new Int8Array(1) instanceof Uint8Array)`, `new Uint8Array(1).buffer instanceof ArrayBuffer`,
		`new (class extends RegExp {})("x") instanceof RegExp`, `new Uint8Array([1, 2, 3]).subarray(1).length === 2`,
	} {
		if got := claimsOf(t, `kinde.m2mToken.setCustomClaim("is", `+test+`)`); got != `{"is":true}` {
			t.Errorf("%s: got %s, want true", test, got)
		}
	}
}

// TestGlobalObjectByText: many packages find the global object so.
func TestGlobalObjectByText(t *testing.T) {
	for _, test := range []string{`Function("return this")() === globalThis`, `new Function("return this")() === globalThis`, `(() => {}).constructor("return this")() === globalThis`} {
		if got := claimsOf(t, `kinde.m2mToken.setCustomClaim("is", `+test+`)`); got != `{"is":true}` {
			t.Errorf("%s: got %s, want true", test, got)
		}
	}
}
