package resolver

import "strings"

// Cause is what kind of difference makes a version a miss: one vocabulary for answers, counters and logs. CauseEnvironment stands before
// the name of a component: "environment:system".
type Cause string

// The causes, in the order in which the first one that holds is the primary one. The first seven are differences between the
// recipe of today and that of the nearest record, the next four are what speaks against a record of today's recipe.
const (
	CauseSource      Cause = "source"
	CausePatches     Cause = "patches"
	CauseSettings    Cause = "settings"
	CauseOverrides   Cause = "overrides"
	CauseEnvironment Cause = "environment:"
	CauseTarget      Cause = "target"
	CauseBuilder     Cause = "builder"
	CauseConstraint  Cause = "constraint"  // excludes what the record was built with
	CauseRevoked     Cause = "revoked"     // something in the record
	CauseRequirement Cause = "requirement" // of the record is another wheel today, or a miss
	CauseBytes       Cause = "bytes"       // missing or damaged
	CauseNeverBuilt  Cause = "never-built" // no record of this version at all
)

// Causes are all of them in their order, but for the components.
var Causes = []Cause{CauseSource, CausePatches, CauseSettings, CauseOverrides, CauseTarget, CauseBuilder, CauseConstraint, CauseRevoked,
	CauseRequirement, CauseBytes, CauseNeverBuilt}

// Label is the cause as a counter's label. What a site hook selects is left out: hooks print as many selectors as they like, while all
// other names come from configurations.
func (c Cause) Label() string {
	const hook = CauseEnvironment + "hook"
	if strings.HasPrefix(string(c), string(hook)+":") {
		return string(hook)
	}
	return string(c)
}
