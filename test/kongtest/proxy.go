package kongtest

import (
	"context"
	"net/http"
	"os"
)

// proxy takes a request through the gateway's phases.
func (s *StandIn) proxy(w http.ResponseWriter, r *http.Request) {
	x := s.newExchange(r)
	if x.route = s.generation.Load().router.match(x.path, x.requestHeader); x.route == nil {
		x.fail(http.StatusNotFound, "no Route matched with those values")
		x.send(w)
		return
	}
	x.plugin = x.route.plugin
	if status := x.readBody(w); status != 0 {
		x.failWith(status)
		x.send(w)
		return
	}
	x.run(w)
}

// run takes x through access, upstream and response, answers the client and
// leaves the log phase to run by itself.
func (x *exchange) run(w http.ResponseWriter) {
	defer x.finish()
	ctx := x.r.Context()
	if !x.pluginPhase(ctx, "access") && x.fetch(ctx) && x.buffered() {
		x.pluginPhase(ctx, "response")
	}
	x.send(w)
}

// pluginPhase runs the plugin's handler of a phase, if there is one, and
// reports whether that decided the answer. A failed handler is a 500, which in
// the response phase keeps every header of the upstream.
func (x *exchange) pluginPhase(ctx context.Context, phase string) (decided bool) {
	if x.plugin == nil || !x.plugin.info.has(phase) {
		return false
	}
	exited, err := x.worker.handle(ctx, x, phase)
	if err != nil {
		x.logf("error", "[%s] pluginserver error: %v", x.plugin.info.Name, err)
		x.failWith(http.StatusInternalServerError)
		return true
	}
	return exited
}

// finish runs what comes after the answer: nginx removes the body's file, and
// the plugin's log phase runs on its own time.
func (x *exchange) finish() {
	if x.bodyFile != "" {
		os.Remove(x.bodyFile)
	}
	if x.plugin == nil || !x.plugin.info.has("log") {
		return
	}
	x.gateway.background(func(ctx context.Context) {
		if _, err := x.worker.handle(ctx, x, "log"); err != nil {
			x.logf("error", "[%s] pluginserver error: %v", x.plugin.info.Name, err)
		}
	})
}
