//go:build !noworkflow

package workflow

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m2m-token-enricher/schema"
)

// hostile are scripts that try to take time, memory or the process's stack. Each
// ends in an error with the text, or, if that is "", in claims. None takes more than
// the limits, and all run in a process of their own, which must live. On a busy machine,
// unwinding a deep stack may take all the time for computing: "|" is between two texts.
var hostile = map[string]struct{ body, want string }{
	"an endless loop":                {`while (true) {}`, "it computed for 500ms"},
	"an endless loop that catches":   {`while (true) { try { while (true) {} } catch {} finally { continue } }`, "it computed for 500ms"},
	"an endless chain of awaits":     {`while (true) await 0`, "it computed for 500ms"},
	"endless jobs":                   {`const again = () => Promise.resolve().then(again); again()`, "it computed for 500ms"},
	"endless recursion":              {`const f = () => f() + 1; f()`, "more than 2000 levels deep"},
	"recursion through a getter":     {`const o = {get x() { return o.x }}; o.x`, "more than 2000 levels deep"},
	"recursion through toJSON":       {`const o = {toJSON() { return JSON.stringify(o) }}; JSON.stringify(o)`, "levels deep|it computed for"},
	"recursion through toString":     {`const o = {toString() { return "" + o }}; "" + o`, "more than 2000 levels deep|it computed for"},
	"recursion through map":          {`const f = () => [1].map(f); f()`, "levels deep|it computed for"},
	"recursion through a proxy":      {`const p = new Proxy({}, {get: (t, k, r) => r[k]}); p.x`, "more than 2000 levels deep"},
	"recursion through sort":         {`const f = () => [2, 1].sort(f); f()`, "workflow.js"},
	"recursion through replace":      {`const f = () => "x".replace(/x/, f); f()`, "levels deep|it computed for"},
	"recursion through parse":        {`const f = () => JSON.parse("[1]", f); f()`, "levels deep|it computed for"},
	"a text of 100 MB":               {`let s = "x"; while (s.length < 1e8) s += s; kinde.m2mToken.setCustomClaim("s", s)`, ""},
	"a text that grows":              {`let s = "x"; while (true) s += s`, ""},
	"a form of one text many times":  {`const p = new URLSearchParams(), s = "x".repeat(1e6); for (let i = 0; i < 1e5; i++) p.append("a", s); "" + p`, "RangeError"},
	"a query of one text many times": {`const p = new URL("https://example.com/").searchParams, s = "x".repeat(1e6); for (let i = 0; i < 1e5; i++) p.append("a", s)`, "RangeError"},
	"a form of itself":               {`const p = new URLSearchParams("a=1&b=2"); for (const [k, v] of p) p.append(v, k)`, ""},
	"a list that grows":              {`const l = []; while (true) l.push([1, 2, 3])`, "compute"},
	"a text repeated":                {`"x".repeat(1e9)`, "RangeError"},
	"a text padded":                  {`"x".padEnd(1e9)`, "RangeError"},
	"a text replaced by texts":       {`"a".repeat(1e6).replaceAll("a", "b".repeat(1e6))`, "RangeError"},
	"a text replaced by its rest":    {`"a".repeat(1e6).replace(/a/g, "$'")`, "RangeError"},
	"a text replaced by groups":      {`"a".repeat(1e6).replace(/(?=(.*))a/g, "$1")`, "RangeError"},
	"a text split":                   {`let s = "x"; while (s.length < 2e6) s += s; s.split("")`, "RangeError"},
	"a text spread":                  {`let s = "x"; while (s.length < 5e6) s += s; [...s]`, "RangeError"},
	"a long list joined":             {`new Array(1e9).join("x")`, "RangeError"},
	"a long list as text":            {`"" + new Array(4e9)`, "RangeError"},
	"a long list spread":             {`[...Array(1e9)]`, "RangeError"},
	"a long list as arguments":       {`Math.max(...Array(1e9))`, "RangeError"},
	"a long list applied":            {`Math.max.apply(null, {length: 1e9})`, "RangeError"},
	"a long list filled":             {`new Array(1e9).fill(0)`, "RangeError"},
	"a long list from nothing":       {`Array.from({length: 1e9})`, "RangeError"},
	"a list with one far element":    {`const l = []; l[4e9] = 1; for (const x of l.map(x => x)) ;`, "RangeError"},
	"an object with a length":        {`Array.prototype.indexOf.call({length: 2 ** 53}, 1)`, "RangeError"},
	"a set of a long list":           {`new Set(Array(1e9))`, "RangeError"},
	"a long list destructured":       {`const [a, ...rest] = Array(1e9)`, "RangeError"},
	"a buffer":                       {`new ArrayBuffer(1e10)`, "RangeError"},
	"a typed array":                  {`new Uint8Array(1e10)`, "RangeError"},
	"a typed array of a list":        {`Float64Array.from({length: 1e9})`, "RangeError"},
	"large integers":                 {`BigInt(2)`, "BigInt is not defined"},
	"large integers of bytes":        {`new DataView(new ArrayBuffer(8)).getBigInt64(0)`, "TypeError"},
	"large integers by a name":       {`const f = new DataView(new ArrayBuffer(8))["getBigU" + "int64"]; f.call(0)`, "TypeError"},
	"a typed array's constructor":    {`new (new Uint8Array(1).constructor)(1e10)`, "RangeError"},
	"a buffer's constructor":         {`new (new Uint8Array(1).buffer.constructor)(1e10)`, "RangeError"},
	"a pattern's constructor":        {`/x/.constructor("(".repeat(1e5))`, "RangeError"},
	"JSON that is deep":              {`JSON.parse("[".repeat(1e6))`, "RangeError"},
	"JSON that is deep and long":     {`let s = "["; while (s.length < 2e7) s += s; JSON.parse(s)`, "RangeError"},
	"lists in lists to JSON":         {`let l = []; for (let i = 0; i < 5e3; i++) l = [l]; JSON.stringify(l)`, "RangeError"},
	"lists in lists to a text":       {`let l = []; for (let i = 0; i < 5e3; i++) l = [l]; "" + l`, "RangeError"},
	"lists in lists made flat":       {`let l = []; for (let i = 0; i < 5e3; i++) l = [l]; l.flat(Infinity)`, "RangeError"},
	"lists in lists as a claim":      {`let l = []; for (let i = 0; i < 2e4; i++) l = [l]; kinde.m2mToken.setCustomClaim("x", l)`, "nested"},
	"a list that doubles, to JSON":   {`let l = []; for (let i = 0; i < 40; i++) l = [l, l]; JSON.stringify(l)`, "RangeError|computed for"},
	"a list that doubles, a text":    {`let l = []; for (let i = 0; i < 40; i++) l = [l, l]; "" + l`, "workflow.js"},
	"a list that doubles, flat":      {`let l = [1]; for (let i = 0; i < 40; i++) l = [l, l]; l.flat(50)`, "RangeError"},
	"an empty list that doubles":     {`let l = []; for (let i = 0; i < 60; i++) l = [l, l]; l.flat(99)`, "it computed for"},
	"a list that doubles, a claim":   {`let l = []; for (let i = 0; i < 40; i++) l = [l, l]; kinde.m2mToken.setCustomClaim("x", l)`, "bytes"},
	"a list in itself":               {`const l = []; l.push(l); "" + l + l.join("-")`, ""},
	"proxies of proxies":             {`let p = {}; for (let i = 0; i < 1e6; i++) p = new Proxy(p, {}); p.x`, "RangeError"},
	"a long chain of prototypes":     {`let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); o.x`, ""},
	"a chain of prototypes":          {`let o = {}; while (true) { o = {__proto__: o}; o.x }`, ""},
	"a chain of bound functions":     {`let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(null); f()`, ""},
	"a chain of promises":            {`let p = Promise.resolve(); for (let i = 0; i < 1e4; i++) { const q = p; p = (async () => { await q; if (i == 9999) throw new Error("end") })() } await p`, "end"},
	"a regular expression":           {`/^(?=(a+)+$)(a+)+$/.test("a".repeat(40) + "!")`, "it computed for"},
	"a regular expression, decided":  {`if (!/(?!x)^(a+)+$/.test("a".repeat(40) + "!")) kinde.m2mToken.setCustomClaim("ok", true)`, "it computed for"},
	"a deep regular expression":      {`new RegExp("(".repeat(1e6) + ")".repeat(1e6))`, "RangeError"},
	"a text as one":                  {`"x".match("(".repeat(1e6))`, "RangeError"},
	"code in a text":                 {`eval("1")`, "eval is not defined"},
	"code in a deep text":            {`new Function("return " + "[".repeat(1e6))`, "can't make functions of texts"},
	"code by a constructor":          {`(async () => {}).constructor("[".repeat(1e6))`, "can't make functions of texts"},
	"code by a generator":            {`(function* () {}).constructor("1")`, "can't make functions of texts"},
	"a native as a handler":          {`await Promise.resolve("[".repeat(1e6)).then(JSON.parse)`, "RangeError"},
	"console and deep lists":         {`let l = []; for (let i = 0; i < 5e3; i++) l = [l]; console.log(l)`, "RangeError"},
}

// TestHostileScripts: each ends as its row says, and the process lives.
func TestHostileScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("each runs in a process of its own")
	}
	for name, row := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestHostileScript$", "-test.v")
			cmd.Env = append(os.Environ(), "HOSTILE="+name, "GOMEMLIMIT=off")
			start := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("the process ended with %v:\n%.3000s", err, out)
			}
			if !slices.ContainsFunc(strings.Split(row.want, "|"), func(want string) bool { return strings.Contains(string(out), want) }) {
				t.Errorf("got %.1000s\nwant an error with %q", out, row.want)
			}
			if spent := time.Since(start); spent > 60*time.Second {
				t.Errorf("it took %v", spent)
			}
		})
	}
}

// TestHostileScript is one process of TestHostileScripts.
func TestHostileScript(t *testing.T) {
	name := os.Getenv("HOSTILE")
	if name == "" {
		t.Skip("TestHostileScripts starts it")
	}
	var peak atomic.Uint64
	stop := make(chan bool)
	var sampling sync.WaitGroup
	sampling.Go(func() {
		for {
			size, _, _ := processSize()
			peak.Store(max(peak.Load(), size))
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	before, _, _ := processSize()
	start := time.Now()
	set, _, err := run(t, opened(t, handler(hostile[name].body)))
	t.Logf("ended after %v: %.200s %v", time.Since(start).Round(time.Millisecond), set, err)
	close(stop)
	sampling.Wait()
	if spent := time.Since(start); spent > 5*time.Second {
		t.Errorf("the script took %v, want it to end soon after the limit", spent)
	}
	if hostile[name].want != "" && err == nil {
		t.Errorf("got %s, want an error", set)
	}
	t.Logf("grew by %d MiB", (int64(peak.Load())-int64(before))>>20)
	if grown := int64(peak.Load()) - int64(before); grown > 600<<20 {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
	runtime.GC()
	runtime.GC()
	if after, _, _ := processSize(); int64(after)-int64(before) > 20<<20 {
		t.Errorf("the process has %d MiB more than before, want the memory back", (after-before)>>20)
	}
}

// TestManyEvents: 10,000 events at once all end, a bounded number of them computes,
// and memory returns.
func TestManyEvents(t *testing.T) {
	w := opened(t, handler(`let s = ""; for (let i = 0; i < 100; i++) s += i; kinde.m2mToken.setCustomClaim("n", s.length)`))
	before, _, _ := processSize()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var failed, most atomic.Int64
	var all sync.WaitGroup
	for range 10_000 {
		all.Go(func() {
			set, _, err := w.Run(ctx, event, nil, func(schema.Kind) (string, schema.Record, error) { return "", nil, nil })
			if err != nil || written(set) != `{"n":190}` {
				failed.Add(1)
			}
			most.Store(max(most.Load(), int64(len(slots))))
		})
	}
	all.Wait()
	if failed.Load() > 0 || most.Load() > int64(cap(slots)) {
		t.Errorf("%d of 10000 events failed, %d computed at once; want none and at most %d", failed.Load(), most.Load(), cap(slots))
	}
	runtime.GC()
	runtime.GC()
	if after, _, _ := processSize(); int64(after)-int64(before) > 30<<20 {
		t.Errorf("the process has %d MiB more than before, want the memory back", (after-before)>>20)
	}
}
