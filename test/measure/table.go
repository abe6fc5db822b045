package measure

import (
	"math"
	"slices"
	"strings"
)

// Table writes rows as Markdown. The first row has the headings. A dash before a
// heading marks a column of numbers.
func Table(rows [][]string) string {
	var text, rule strings.Builder
	for _, head := range rows[0] {
		name, number := strings.CutPrefix(head, "-")
		text.WriteString("| " + name + " ")
		if number {
			rule.WriteString("|--:")
		} else {
			rule.WriteString("|---")
		}
	}
	text.WriteString("|\n" + rule.String() + "|")
	for _, row := range rows[1:] {
		text.WriteString("\n| " + strings.Join(row, " | ") + " |")
	}
	return text.String()
}

// Median returns the median, or a NaN if there are no values: no goal is met by
// what wasn't measured.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}
