package pdk

// Event is one event that Kong has the plugin handle. Its methods ask Kong and tell
// it what to do, until Exit or the handler's return. The bytes that Kong answers are
// valid until then and must not be modified. Not for concurrent use.
//
// After an answer that can't be read, each question fails, while what needs no
// answer still reaches Kong.
type Event struct {
	Instance int32 // whose event it is
	Phase    string

	wire   *wire
	exited bool
}

// Exit answers the client and ends the event; Kong then closes the connection.
func (e *Event) Exit(status int, body []byte, headers PreparedHeaders) {
	e.wire.do("kong.response.exit", exitMessage(status, body, headers))
	e.exited = true
}

// Exited reports whether Exit was called.
func (e *Event) Exited() bool { return e.exited }

// SetHeader sets a header of the upstream's answer.
func (e *Event) SetHeader(name, value string) {
	e.wire.do("kong.response.set_header", pairMessage(name, value))
}

// ClearHeader deletes a header of the upstream's answer.
func (e *Event) ClearHeader(name string) {
	e.wire.do("kong.response.clear_header", stringMessage(name))
}

// Share hands a text to the plugins that run later (kong.ctx.shared).
func (e *Event) Share(name, value string) {
	e.wire.do("kong.ctx.shared.set", pairMessage(name, value))
}

// Level is the level of a line in Kong's log.
type Level string

// The levels that Kong's default shows.
const (
	Notice Level = "notice"
	Warn   Level = "warn"
	Error  Level = "err"
)

// Log writes a line to Kong's log. Kong writes the text as it is, so the caller
// makes sure that it is one line.
func (e *Event) Log(level Level, line string) {
	e.wire.do("kong.log."+string(level), listMessage(line))
}
