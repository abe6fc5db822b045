package expression

import (
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/ext"

	"m2m-token-enricher/schema"
)

// The variables of the event.
const (
	eventAudience = "event.request.auth.audience"
	eventScope    = "event.request.auth.scope"
	eventIP       = "event.request.ip"
	eventDomain   = "event.context.domains.kindeDomain"
	eventClientID = "event.context.application.clientId"
	eventTrigger  = "event.context.workflow.trigger"
)

// variables are the variables of expressions with their types. The parts of the event
// are variables of their own, so a misspelled one is found when the expression is
// checked.
var variables = map[string]*cel.Type{
	string(schema.Application):  cel.MapType(cel.StringType, cel.StringType),
	string(schema.Organization): cel.MapType(cel.StringType, cel.StringType),
	string(schema.User):         cel.MapType(cel.StringType, cel.StringType),
	string(schema.Token):        cel.MapType(cel.StringType, cel.DynType),

	eventAudience: cel.ListType(cel.StringType),
	eventScope:    cel.ListType(cel.StringType),
	eventIP:       cel.StringType,
	eventDomain:   cel.StringType,
	eventClientID: cel.StringType,
	eventTrigger:  cel.StringType,
}

// timeFunctions need a clock to be of use, and some read the files of time zones.
var timeFunctions = []string{
	overloads.TypeConvertTimestamp, overloads.TypeConvertDuration,
	overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear, overloads.TimeGetDayOfMonth,
	overloads.TimeGetDate, overloads.TimeGetDayOfWeek, overloads.TimeGetHours, overloads.TimeGetMinutes,
	overloads.TimeGetSeconds, overloads.TimeGetMilliseconds,
}

// environment returns what every expression is checked in: the standard library
// without time, and the extensions for strings, sets and math.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	timeless := &env.LibrarySubset{}
	for _, name := range timeFunctions {
		timeless.ExcludeFunctions = append(timeless.ExcludeFunctions, &env.Function{Name: name})
	}
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(timeless)),
		ext.Strings(ext.StringsMaxPrecision(100)), ext.Sets(), ext.Math(),
		cel.CrossTypeNumericComparisons(true),
		cel.EagerlyValidateDeclarations(true),
		cel.ParserExpressionSizeLimit(schema.MaxExpressionSize),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxPattern),
		cel.ASTValidators(cel.ValidateRegexLiterals()),
	}
	for name, typ := range variables {
		options = append(options, cel.Variable(name, typ))
	}
	return cel.NewCustomEnv(options...)
})

// eventNames returns the variables of the event.
func eventNames() []string {
	return []string{eventAudience, eventScope, eventIP, eventDomain, eventClientID, eventTrigger}
}

// isEvent reports whether name is event or a part of it.
func isEvent(name string) bool { return name == "event" || strings.HasPrefix(name, "event.") }

// isRecord reports whether the variable called name is a record.
func isRecord(variable string) bool {
	switch schema.Kind(variable) {
	case schema.Application, schema.Organization, schema.User:
		return true
	}
	return false
}
