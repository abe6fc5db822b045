package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Scrape returns the values of metrics without labels, in the order of names, from
// a Unix socket.
func Scrape(ctx context.Context, socket string, names ...string) (values []float64, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://plugin/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	for _, name := range names {
		_, rest, found := strings.Cut(string(text), "\n"+name+" ")
		var value float64
		if _, err := fmt.Sscan(rest, &value); err != nil || !found {
			return nil, fmt.Errorf("metric %s: not there, or not a number", name)
		}
		values = append(values, value)
	}
	return values, nil
}
