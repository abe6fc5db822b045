package enrich

// NeedsRest reports whether a partial exchange needs the rest before Enrich can
// decide it. Most don't. Call it first: without it, Enrich refuses a partial
// exchange that has a token. It reads nothing but x.
func (x *Exchange) NeedsRest() bool {
	if !x.Partial || !x.Response.succeeded() {
		return false
	}
	if !isPlain(x.Response.Body) {
		return true
	}
	x.plain, x.plainRead = readPlainForm(x.Request)
	return !x.plainRead
}
