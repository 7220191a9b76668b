{{- define "ekm.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "ekm.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ekm.labels" -}}
{{ include "ekm.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "ekm.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "ekm.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "ekm.name" .) }}
{{- end }}

{{- define "ekm.stateful" -}}
{{- if or (gt (int .Values.shards) 1) .Values.state.persistent }}yes{{ end }}
{{- end }}

{{- define "ekm.pods" -}}
{{- if include "ekm.stateful" . }}{{ .Values.shards }}{{ else }}{{ .Values.replicas }}{{ end }}
{{- end }}

{{- /* Relabelling for all monitors: the job that the rules expect, and the pod as the instance, because its address changes. */ -}}
{{- define "ekm.relabelings" -}}
- {targetLabel: job, replacement: {{ .Values.monitor.job | quote }}}
- {sourceLabels: [__meta_kubernetes_pod_name], targetLabel: instance}
{{- end }}

{{- /* A probe of Kubernetes: a GET, unless the values name another kind; the values override each field. */ -}}
{{- define "ekm.probe" -}}
{{- $probe := dict "periodSeconds" .period "timeoutSeconds" 5 }}
{{- if not (or .given.exec .given.tcpSocket .given.grpc) }}
{{- $_ := set $probe "httpGet" (dict "path" .path "port" "http" "scheme" (upper .root.Values.web.scheme)) }}
{{- end }}
{{- toYaml (merge (deepCopy .given) $probe) }}
{{- end }}

{{- /* Access for Prometheus: the fields that all monitors share, by the same names. */ -}}
{{- define "ekm.access" -}}
{{- range $name := list "tlsConfig" "basicAuth" "authorization" }}
{{- with index $.Values.monitor $name }}
{{ $name }}: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
