// Package counters counts what a builder does.
package counters

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/python-wheel-build/axle/resolver"
)

// Counters are a builder's, each value there from the start, at 0, but for components of environments. Make them with New.
type Counters struct {
	// Builds by outcome: Built, PreBuilt, Failed, Infrastructure.
	Builds *prometheus.CounterVec
	// Checks by resolver.Check.Outcome.
	Checks *prometheus.CounterVec
	// Misses by resolver.Cause.Label.
	Misses *prometheus.CounterVec
}

// The outcomes of a job for a wheel.
const (
	Built          = "built"
	PreBuilt       = "prebuilt"
	Failed         = "failed"
	Infrastructure = "infrastructure"
)

// New registers them.
func New(reg prometheus.Registerer) Counters {
	vec := func(name, help, label string, values ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, v := range values {
			c.WithLabelValues(v)
		}
		reg.MustRegister(c)
		return c
	}
	causes := make([]string, len(resolver.Causes))
	for i, c := range resolver.Causes {
		causes[i] = c.Label()
	}
	return Counters{
		Builds: vec("axle_builds_total", "Jobs for a wheel that ended: built from source, taken prebuilt, failed by their inputs, or by the infrastructure.",
			"outcome", Built, PreBuilt, Failed, Infrastructure),
		Checks: vec("axle_checks_total", "Records whose inputs were built again: to the identical wheel, to a different one, or to none because that build failed.",
			"outcome", resolver.CheckIdentical, resolver.CheckDifferent, resolver.CheckFailed),
		Misses: vec("axle_misses_total", "Jobs for a wheel that began, by what made the version a miss: the first difference to the nearest record, or what speaks against it.",
			"cause", causes...),
	}
}
