package kongtest

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// maxLog bounds each log that is kept. The oldest part is dropped first.
const maxLog = 4 << 20

// tail is a writer that remembers the last maxLog bytes. Safe for concurrent
// use.
type tail struct {
	also io.Writer // that gets all of it, too; nil for none

	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.also != nil {
		_, _ = t.also.Write(p) // the memory has it in any case
	}
	t.data = append(t.data, p...)
	if over := len(t.data) - maxLog; over > 0 {
		t.data = append([]byte(nil), t.data[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}

// logf writes a line to the gateway's log in the format of nginx' error log.
func (s *StandIn) logf(level, format string, args ...any) {
	message := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\\n") // one event is one line
	now := time.Now().Format("2006/01/02 15:04:05")
	fmt.Fprintf(&s.log, "%s [%s] %d#0: %s\n", now, level, os.Getpid(), message)
}

// logf writes a line that belongs to a request.
func (x *exchange) logf(level, format string, args ...any) {
	x.gateway.logf(level, "*%d [kong] %s, client: %s, server: kong, request: \"%s %s %s\", host: %q, request_id: %q",
		x.serial, fmt.Sprintf(format, args...), x.clientIP, x.r.Method, x.r.URL.RequestURI(), x.r.Proto, x.r.Host, x.id)
}
