<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="Symbology|Temporal">
  <pipe>
    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" nodataColor="" classificationMin="0.0" classificationMax="100.0">
      <rasterTransparency />
      <minMaxOrigin>
        <limits>None</limits>
      </minMaxOrigin>
      <rastershader>
        <colorrampshader minimumValue="0.0" maximumValue="100.0" colorRampType="DISCRETE" classificationMode="1" clip="0" labelPrecision="3">
          <item value="-2.0" color="#ffffff" alpha="0" label="land or no data (not mapped)" />
          <item value="1.0" color="#0064ff" alpha="255" label="ice free (below 1 %)" />
          <item value="10.0" color="#96c8ff" alpha="255" label="less than 1/10 (1 to 10 %)" />
          <item value="35.0" color="#8cffa0" alpha="255" label="1/10 to 3/10 (10 to 35 %)" />
          <item value="65.0" color="#ffff00" alpha="255" label="4/10 to 6/10 (35 to 65 %)" />
          <item value="85.0" color="#ff7d07" alpha="255" label="7/10 to 8/10 (65 to 85 %)" />
          <item value="inf" color="#ff0000" alpha="255" label="9/10 to 10/10 (above 85 %)" />
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1" />
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0" />
    <rasterresampler maxOversampling="2" />
  </pipe>
  <blendMode>0</blendMode>
</qgis>
