package kongtest

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// stream passes the upstream's answer on as it comes.
func (x *exchange) stream(ctx context.Context, w http.ResponseWriter) {
	res := x.ask(ctx, x.out.method)
	if res == nil {
		x.send(w)
		return
	}
	defer res.Body.Close()
	x.source, x.status = "service", res.StatusCode
	for name, values := range x.upstream.header {
		x.header[name] = values
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		x.tunnel(w, res)
		return
	}
	x.ownHeaders()
	h := w.Header()
	for name, values := range x.header {
		h[name] = values
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // or net/http guesses one
	}
	w.WriteHeader(res.StatusCode)
	if err := copyFlushing(w, res.Body); err != nil {
		x.logf("error", "upstream %s: answer cut off: %v", x.out.target, err)
		panic(http.ErrAbortHandler) // the client must see that something is missing
	}
}

// copyFlushing copies without holding anything back.
func copyFlushing(w http.ResponseWriter, r io.Reader) error {
	rc := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			rc.Flush()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tunnel joins the client and the upstream after a switch of protocols, until
// either of them or the gateway closes.
func (x *exchange) tunnel(w http.ResponseWriter, res *http.Response) {
	up, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		x.failWith(http.StatusBadGateway)
		x.send(w)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2 has no Upgrade
		x.failWith(http.StatusBadGateway)
		x.send(w)
		return
	}
	x.header.Set("Connection", "upgrade")
	x.header.Set("Upgrade", res.Header.Get("Upgrade"))
	x.ownHeaders()
	shut := sync.OnceFunc(func() { client.Close(); up.Close() })
	defer shut()
	defer context.AfterFunc(x.gateway.ctx, shut)()

	io.WriteString(client, "HTTP/1.1 101 Switching Protocols\r\n")
	x.header.Write(client)
	io.WriteString(client, "\r\n")
	var both sync.WaitGroup
	both.Go(func() { defer shut(); io.Copy(up, buffered) })
	both.Go(func() { defer shut(); io.Copy(client, up) })
	both.Wait()
}
