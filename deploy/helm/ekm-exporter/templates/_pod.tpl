{{- define "ekm.pod" -}}
metadata:
  labels:
    {{- include "ekm.labels" . | nindent 4 }}
    {{- if .Values.workloadIdentity.clientId }}
    azure.workload.identity/use: "true"
    {{- end }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "ekm.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig: {{ toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: 20
  containers:
    - name: ekm-exporter
      image: {{ include "ekm.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - run
        - --config.file=/etc/ekm-exporter/ekm.yml
        - --config.enable-auto-reload
        {{- /* Kubernetes lets every user write to an emptyDir; the exporter creates its own directory in the volume. */}}
        - --state.dir=/state/ekm
        - --web.listen-address=:{{ .Values.port }}
        - --log.format={{ .Values.logFormat }}
        {{- if .Values.web.enablePages }}
        - --web.enable-pages
        {{- end }}
        {{- if gt (int .Values.shards) 1 }}
        - --shard=$(POD_INDEX)/{{ .Values.shards }}
        {{- end }}
        {{- range .Values.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      {{- if or .Values.extraEnv (gt (int .Values.shards) 1) }}
      env:
        {{- if gt (int .Values.shards) 1 }}
        - name: POD_INDEX
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}
        {{- end }}
        {{- with .Values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- end }}
      ports:
        - {name: http, containerPort: {{ .Values.port }}, protocol: TCP}
      # Healthy: the event loop runs. Ready: the first probes are done, or two minutes passed. A failing vault changes neither.
      livenessProbe: {{ include "ekm.probe" (dict "root" . "path" "/-/healthy" "period" 30 "given" .Values.livenessProbe) | nindent 8 }}
      readinessProbe: {{ include "ekm.probe" (dict "root" . "path" "/-/ready" "period" 5 "given" .Values.readinessProbe) | nindent 8 }}
      resources: {{ toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: config, mountPath: /etc/ekm-exporter, readOnly: true}
        - {name: state, mountPath: /state}
        {{- if .Values.secret.name }}
        - {name: secrets, mountPath: /etc/ekm-secrets, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: config
      configMap: {name: {{ .Values.existingConfigMap | default (include "ekm.name" .) }}}
    {{- if .Values.secret.name }}
    - name: secrets
      secret: {secretName: {{ .Values.secret.name }}, defaultMode: 0440}
    {{- end }}
    {{- if not .Values.state.persistent }}
    - name: state
      emptyDir: {sizeLimit: {{ .Values.state.size }}}
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{ toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
