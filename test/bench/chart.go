package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The chart has two panels: requests per second by connections as lines, and
// the plugin's CPU time for each request as bars, which are the lines' legend.
const (
	chartWidth, chartHeight = 960, 400
	plotLeft, plotRight     = 60, 480
	plotTop, plotBottom     = 60, 340
	barsLeft, barsRight     = 560, 880
	barsConnections         = 64
)

// strokes are the routes' colours, which are visible on white as well as on
// black, and dashes, for whoever can't tell the colours apart.
var strokes = []struct{ colour, dash string }{
	{"#7d8790", "2 3"}, {"#3b82f6", ""}, {"#d97706", ""}, {"#16a34a", ""}, {"#a05cf0", ""}, {"#e0479e", "7 4"},
}

// chartHead makes the text readable on a light page and on a dark one; there
// is no background.
const chartHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" font-family="system-ui, sans-serif" font-size="13">
<title>Requests per second by connections, and CPU time of the plugin for each request</title>
<style>
text { fill: #4d565f }
.rule { stroke: #8b949e; stroke-opacity: .35 }
@media (prefers-color-scheme: dark) { text { fill: #b3bcc6 } }
</style>
`

// chart draws what the end-to-end part measured.
func chart(routes []route, all results) string {
	var svg strings.Builder
	fmt.Fprintf(&svg, chartHead, chartWidth, chartHeight)
	drawRates(&svg, routes, all)
	drawCPU(&svg, routes, all)
	svg.WriteString("</svg>\n")
	return svg.String()
}

func drawRates(svg *strings.Builder, routes []route, all results) {
	top := 0.0
	for _, r := range routes {
		for _, n := range endToEndConnections {
			top = max(top, all.median(spot{r.name, n}, rate))
		}
	}
	step := niceStep(top)
	top = step * math.Ceil(top/step)
	y := func(value float64) float64 { return plotBottom - (plotBottom-plotTop)*value/top }
	x := func(i int) float64 {
		return plotLeft + 20 + float64(i)*(plotRight-plotLeft-40)/float64(len(endToEndConnections)-1)
	}
	write(svg, plotLeft, 30, "start", "requests per second")
	for value := 0.0; value <= top; value += step {
		fmt.Fprintf(svg, `<line class="rule" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", plotLeft, plotRight, y(value), y(value))
		write(svg, plotLeft-8, y(value)+4, "end", fmt.Sprintf("%.0f", value))
	}
	for i, n := range endToEndConnections {
		write(svg, x(i), plotBottom+22, "middle", fmt.Sprint(n))
	}
	write(svg, (plotLeft+plotRight)/2, plotBottom+44, "middle", "connections")
	for i, r := range routes {
		drawLine(svg, i, func(c int) (float64, float64) {
			return x(c), y(all.median(spot{r.name, endToEndConnections[c]}, rate))
		})
	}
}

// drawLine draws the i-th route's line; at is where its points are.
func drawLine(svg *strings.Builder, i int, at func(c int) (x, y float64)) {
	stroke := strokes[i%len(strokes)]
	var points, dots strings.Builder
	for c := range endToEndConnections {
		x, y := at(c)
		fmt.Fprintf(&points, "%.1f,%.1f ", x, y)
		fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x, y, stroke.colour)
	}
	fmt.Fprintf(svg, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n%s",
		strings.TrimSpace(points.String()), stroke.colour, stroke.dash, dots.String())
}

func drawCPU(svg *strings.Builder, routes []route, all results) {
	top := 0.0
	for _, r := range routes {
		top = max(top, all.median(spot{r.name, barsConnections}, cpu))
	}
	write(svg, barsLeft, 30, "start", fmt.Sprintf("the plugin's CPU time for each, µs (%d connections)", barsConnections))
	height := float64(plotBottom-plotTop) / float64(len(routes))
	for i, r := range routes {
		at := plotTop + float64(i)*height
		stroke, value := strokes[i%len(strokes)], all.median(spot{r.name, barsConnections}, cpu)
		fmt.Fprintf(svg, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n",
			barsLeft, barsLeft+28, at+8, at+8, stroke.colour, stroke.dash)
		write(svg, barsLeft+36, at+13, "start", r.name)
		if value == 0 { // there is no plugin
			continue
		}
		width := (barsRight - barsLeft) * value / top
		fmt.Fprintf(svg, `<rect x="%d" y="%.1f" width="%.1f" height="12" rx="2" fill="%s"/>`+"\n", barsLeft, at+20, width, stroke.colour)
		write(svg, barsLeft+width+8, at+31, "start", fmt.Sprintf("%.0f", value))
	}
}

func write(svg *strings.Builder, x, y float64, anchor, text string) {
	fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(text))
}

// niceStep is 1, 2 or 5 times a power of ten, of which about five reach top.
func niceStep(top float64) float64 {
	if !(top > 0) { // nothing was measured
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(top/5)))
	for _, factor := range []float64{1, 2, 5} {
		if top/5 <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}
