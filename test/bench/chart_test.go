package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestChart: browsers show nothing of an image that isn't well-formed.
func TestChart(t *testing.T) {
	routes := []route{{name: bare}, {name: es256}, {name: "<&>"}}
	all := results{}
	for i, r := range routes {
		for _, n := range endToEndConnections {
			all[spot{r.name, n}] = []sample{{rate: 1234 * float64(i+1), cpu: 100 * float64(i)}}
		}
	}
	svg := chart(routes, all)
	elements := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
	if elements["polyline"] != 3 || elements["rect"] != 2 || strings.Contains(svg, "NaN") {
		t.Errorf("%v in %s", elements, svg)
	}
}

func TestNiceStep(t *testing.T) {
	for top, want := range map[float64]float64{0: 1, 4: 1, 5747: 2000, 900: 200, 12000: 5000} {
		if got := niceStep(top); got != want {
			t.Errorf("up to %v: %v, not %v", top, got, want)
		}
	}
}
