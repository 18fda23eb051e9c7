package main

// check is what the server says of a second build.
type check struct {
	Outcome     string   `json:"outcome"`
	SHA256      string   `json:"sha256"`
	Other       string   `json:"other"`
	Differences []string `json:"differences"`
	LogURL      string   `json:"log"`
}

// check tells whether a requirement's wheel came out the same twice, and how not.
func (n *narrator) check(requirement string, k check) {
	switch k.Outcome {
	case "identical":
		n.say("%s: check: identical: built again it is the same sha256:%s", requirement, k.SHA256)
		return
	case "skipped":
		for _, why := range k.Differences {
			n.say("%s: check: skipped: %s", requirement, why)
		}
		return
	case "different":
		n.say("%s: check: NOT reproducible: sha256:%s, built again sha256:%s", requirement, k.SHA256, k.Other)
	default:
		n.say("%s: check: NOT reproducible: sha256:%s, built again it failed", requirement, k.SHA256)
	}
	for _, d := range k.Differences {
		n.say("  %s", d)
	}
	if k.LogURL != "" {
		n.say("  log of the second build: %s", k.LogURL)
	}
}
