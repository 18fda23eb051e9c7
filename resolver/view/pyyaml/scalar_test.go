package pyyaml

import "testing"

// What PyYAML's safe_load makes of plain scalars.
func TestPlainScalars(t *testing.T) {
	for s, want := range map[string]string{
		"on": "a boolean", "No": "a boolean", "TRUE": "a boolean", "off": "a boolean", "~": "null", "Null": "null", "": "null",
		"012": "a number", "089": String, "0o17": String, "0x1F": "a number", "0b1": "a number", "1e3": String, "1.5e3": String, "1.5e+3": "a number",
		"1.5": "a number", "1.": "a number", ".5": "a number", "-.INF": "a number", ".nan": "a number", "1_000": "a number",
		"12:30:45": "a number", "190:20:30.15": "a number", "5": "a number", "2024-01-02": "a date",
		"2024-01-02T10:00:00Z": "a date", "2024-01-02 10:00:00.5 +01:00": "a date", "=": "an operator", "<<": "an operator",
		"y": String, "n": String, "nan": String, "1.2.3": String, "0x": String, "1:99": String, "-O2": String, "+": String,
		".": String, "_1": String, "1,000": String, "oN": String, "tRue": String, "gcc": String,
	} {
		if got := ReadsAs(s); got != want {
			t.Errorf("ReadsAs(%q) = %s, want %s", s, got, want)
		}
	}
}
