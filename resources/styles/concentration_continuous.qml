<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="Symbology|Temporal">
  <pipe>
    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" nodataColor="" classificationMin="0.0" classificationMax="100.0">
      <rasterTransparency />
      <minMaxOrigin>
        <limits>None</limits>
      </minMaxOrigin>
      <rastershader>
        <colorrampshader minimumValue="0.0" maximumValue="100.0" colorRampType="INTERPOLATED" classificationMode="1" clip="0" labelPrecision="3">
          <colorramp type="gradient" name="[source]">
            <Option type="Map">
              <Option type="QString" name="color1" value="0,100,255,255" />
              <Option type="QString" name="color2" value="255,0,0,255" />
              <Option type="QString" name="discrete" value="0" />
              <Option type="QString" name="rampType" value="gradient" />
              <Option type="QString" name="stops" value="0.05;150,200,255,255:0.2;140,255,160,255:0.5;255,255,0,255:0.75;255,125,7,255" />
            </Option>
            <prop k="color1" v="0,100,255,255" />
            <prop k="color2" v="255,0,0,255" />
            <prop k="discrete" v="0" />
            <prop k="rampType" v="gradient" />
            <prop k="stops" v="0.05;150,200,255,255:0.2;140,255,160,255:0.5;255,255,0,255:0.75;255,125,7,255" />
          </colorramp>
          <item value="0.0" color="#0064ff" alpha="255" label="0 %" />
          <item value="5.0" color="#96c8ff" alpha="255" label="5 %" />
          <item value="20.0" color="#8cffa0" alpha="255" label="20 %" />
          <item value="50.0" color="#ffff00" alpha="255" label="50 %" />
          <item value="75.0" color="#ff7d07" alpha="255" label="75 %" />
          <item value="100.0" color="#ff0000" alpha="255" label="100 %" />
          <rampLegendSettings minimumLabel="0 %" maximumLabel="100 % ice" prefix="" suffix="" direction="0" orientation="2" useContinuousLegend="1" />
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1" />
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0" />
    <rasterresampler maxOversampling="2" />
  </pipe>
  <blendMode>0</blendMode>
</qgis>
