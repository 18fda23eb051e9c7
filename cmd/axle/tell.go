package main

import (
	"log/slog"
	"time"

	"github.com/python-wheel-build/axle/resolver"
)

// tellBuilds writes a line into the server's log when a job begins to run and when it ends.
func tellBuilds(log *slog.Logger) func(resolver.Event) {
	return func(e resolver.Event) {
		job := log.With("project", e.Project, "version", e.Version.String())
		switch e.Kind {
		case "begin":
			if e.Expected > 0 {
				job = job.With("expected", e.Expected.Round(time.Second))
			}
			if e.Cause != "" {
				job = job.With("cause", string(e.Cause))
			}
			job.Info("building")
		case "built":
			job.Info("built", "wheel", e.Text, "ran", e.Ran.Round(time.Millisecond))
		case "failed":
			job.Info("failed", "why", e.Text, "ran", e.Ran.Round(time.Millisecond))
		}
	}
}
